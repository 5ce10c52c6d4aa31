"""What every HTTP service of ours shares: who calls, how much one may ask, and how a service begins and ends.

`callers` the names and rights behind tokens, `sessions` the cookie of a browser, `origins` what a browser says of where
a request comes from, `access` all of it as one middleware; `limits` rate and size; `answers` errors as JSON; `serving`
the application with its security headers, run until SIGTERM."""
