#!/usr/bin/env bash
# Publish one turn, wait for its verdict, and label it, with nothing but kcat.
#
#   ./moderate.sh "How are you?" safe
#
# Prints the verdict. Exit code 0: it was decided and labelled; 1: it was not, and stderr says why. ROLE=assistant for a
# reply of the model's.
set -euo pipefail
broker=${AEGIS_BROKER:-127.0.0.1:9092} prefix=${AEGIS_TOPIC_PREFIX:-aegis.}
text=${1:?usage: moderate.sh TEXT [safe|needs_caution|unsafe]} label=${2:-safe} role=${ROLE:-user}
tab=$'\t'
waits=120 # looks for an answer, half a second apart

die() { echo "Error: $*" >&2; exit 1; }
trap 'die "stopped"' INT TERM

# publish TOPIC VALUE: keyed by the conversation, which keeps it in order in one partition; done once every replica has it.
# The partitioner is that of Java's clients: librdkafka's own choice is another.
publish() {
  printf '%s\t%s\n' "$conversation" "$2" |
    kcat -P -b "$broker" -t "$prefix$1" -K "$tab" -X enable.idempotence=true -X partitioner=murmur2_random \
      -X delivery.timeout.ms=30000 || die "$prefix$1 did not take the message"
}

# read_since TOPIC FORMAT: what came since the turn was published, to the end of the topic.
read_since() { kcat -C -b "$broker" -t "$prefix$1" -o "s@$since" -e -q -f "$2\n"; }

now() { date -u +%Y-%m-%dT%H:%M:%S.%3NZ; }

case $text in *[[:cntrl:]]*) die "the text has control characters, which this script does not escape" ;; esac
text=${text//\\/\\\\} text=${text//\"/\\\"}
id=$(cat /proc/sys/kernel/random/uuid)
turn=turn-$id conversation=example-$id since=$(($(date +%s%3N) - 1000)) # clocks differ
ids="\"turn_id\":\"$turn\",\"conversation_id\":\"$conversation\""
publish turns.v1 "{$ids,\"role\":\"$role\",\"text\":\"$text\",\"sent_at\":\"$(now)\"}"

for ((i = 0; i < waits; i++)); do
  if verdict=$(read_since verdicts.v1 %s | grep -F "\"$turn\""); then
    echo "${verdict%%$'\n'*}" # it may come twice, the same to the byte
    # A label may name the verdict's `source`, which spares a search; without it, it finds its turn too.
    publish labels.v1 "{$ids,\"label\":\"$label\",\"annotator\":\"example-kcat\",\"labelled_at\":\"$(now)\"}"
    exit
  fi
  # A dead letter has the key of its source, and says in headers what was wrong: aegis-reason, aegis-detail, ...
  if letter=$(read_since dead-letters.v1 "%k$tab%h" | grep -F "$conversation"); then
    die "turn $turn is a dead letter: ${letter#*"$tab"}"
  fi
  sleep 0.5
done
die "no verdict in $((waits / 2)) s: does a worker run?"
