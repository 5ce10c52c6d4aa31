"""The review queue: turns that asked for a label, shown to people one by one, and what they say published as labels.

`candidates` which turns, and why; `queue` who gets which next; `ledger` who has said what; `feed` keeps these three
from the topics; `texts` reads a turn at the moment it is shown; `voting` publishes labels; `desk` is what one annotator
does; `agreement` how far annotators agree; `app` all of it over HTTP. No text of a turn is kept anywhere."""
