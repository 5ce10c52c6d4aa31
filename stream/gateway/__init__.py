"""`aegis gateway`: turns and labels over HTTP, for services that do not speak Kafka.

`shapes` what is asked and answered, `categories` our risks as OpenAI's, `asking` from a request to turns, `answering`
from verdicts to a response; `by_topics` and `at_once` the two ways to a verdict, `moderations` the handler above them;
`labels` and `signatures` the webhook; `app` all of it as one application, `openapi` its description."""
