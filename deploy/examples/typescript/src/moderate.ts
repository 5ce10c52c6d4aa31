// Publish turns of a conversation, wait for their verdicts, and label each of them.
//
//   npm start -- --label safe "How are you?" "Tell me about Kafka."
//
// Prints one line of JSON a verdict. Exit code 0: all turns were decided and labelled; 1: not all, and stderr says why.
import { randomUUID } from 'node:crypto'
import { addAbortSignal } from 'node:stream'
import { parseArgs } from 'node:util'
import {
  compatibilityPartitioner,
  Consumer,
  GenericError,
  type Message,
  type MessagesStream,
  MultipleErrors,
  Producer,
  stringDeserializers,
  stringSerializers
} from '@platformatic/kafka'
import type { Label } from './contract/label.schema.js'
import type { Turn } from './contract/turn.schema.js'
import type { Verdict } from './contract/verdict.schema.js'

const VERDICT_MS = 60_000

/** A turn has no verdict: it is a dead letter, or none came in time. */
class Refused extends Error {}

type Text = Message<string, string, string, string>

/** The names of the topics under a prefix. */
class Topics {
  readonly turns: string
  readonly verdicts: string
  readonly labels: string
  readonly deadLetters: string

  constructor(prefix: string) {
    this.turns = `${prefix}turns.v1`
    this.verdicts = `${prefix}verdicts.v1`
    this.labels = `${prefix}labels.v1`
    this.deadLetters = `${prefix}dead-letters.v1`
  }
}

/** Publishes one message, and returns where it stands (`partition:offset`) once every replica has it.
 *  The key is the conversation's id: it keeps a conversation in order in one partition. */
async function publish(
  producer: Producer<string, string, string, string>,
  topic: string,
  message: Turn | Label
): Promise<string> {
  const { offsets } = await producer.send({
    messages: [{ topic, key: message.conversation_id, value: JSON.stringify(message) }]
  })
  const place = offsets?.[0]
  if (place === undefined) throw new Refused(`the broker did not say where ${topic} took the message`)
  return `${place.partition}:${place.offset}`
}

/** Reads these topics from where they end now. Before the turns are published, so that no answer is missed.
 *  A service that acts on every verdict has a group id of its own, mode `committed`, and commits after it has acted. */
async function fromNowOn(consumer: Consumer<string, string, string, string>, topics: string[]) {
  const ends = await consumer.listOffsets({ topics })
  const offsets = [...ends].flatMap(([topic, found]) => found.map((offset, partition) => ({ topic, partition, offset })))
  return await consumer.consume({ topics, mode: 'manual', offsets, autocommit: false, maxWaitTime: 500 })
}

/** The verdict of each turn of `sent`, as they come. Throws Refused when one will not come. */
async function* verdicts(
  stream: MessagesStream<string, string, string, string>,
  topics: Topics,
  sent: Map<string, Turn>
): AsyncGenerator<Verdict> {
  const waiting = new Set([...sent.values()].map(turn => turn.turn_id))
  for await (const message of stream) {
    if (message.topic === topics.deadLetters) {
      refuseOurs(message, topics.turns, sent)
      continue
    }
    const verdict = JSON.parse(message.value) as Verdict // fields that this program does not know are no concern of it
    // Others' verdicts come too, and one may come twice, the same to the byte.
    if (waiting.delete(verdict.turn_id)) yield verdict
    if (waiting.size === 0) return
  }
}

/** Throws Refused if this dead letter was one of our turns: its headers tell where it stood, and what was wrong. */
function refuseOurs({ headers }: Text, turns: string, sent: Map<string, Turn>): void {
  const turn = sent.get(`${headers.get('aegis-partition')}:${headers.get('aegis-offset')}`)
  if (turn !== undefined && headers.get('aegis-topic') === turns) {
    throw new Refused(`turn ${turn.turn_id}: ${headers.get('aegis-reason')} (${headers.get('aegis-detail')})`)
  }
}

function turnOf(text: string, conversation_id: string, role: Turn['role']): Turn {
  // The same turn_id again, with the same text, gets the same verdict again.
  return { turn_id: randomUUID(), conversation_id, role, text, sent_at: new Date().toISOString() }
}

function labelOf({ turn_id, conversation_id, tenant, source }: Verdict, label: Label['label']): Label {
  // `source`, copied from the verdict, leads the label to its turn without a search.
  const labelled_at = new Date().toISOString()
  return { turn_id, conversation_id, tenant, source, label, annotator: 'example-typescript', labelled_at }
}

interface Options {
  broker: string
  prefix: string
  label: string
  role: string
}

async function moderate(options: Options, texts: string[], stop: AbortSignal): Promise<void> {
  const topics = new Topics(options.prefix)
  const common = { clientId: 'example-typescript', bootstrapBrokers: [options.broker] }
  const producer = new Producer({
    ...common,
    idempotent: true, // acks=all, and a retry neither doubles nor reorders
    partitioner: compatibilityPartitioner, // as Java's clients choose: this client's own choice is another
    serializers: stringSerializers
  })
  // This client reads in a group or not at all: one of its own, which commits nothing, is gone when it leaves.
  const consumer = new Consumer({ ...common, groupId: `example-${randomUUID()}`, deserializers: stringDeserializers })
  try {
    const stream = await fromNowOn(consumer, [topics.verdicts, topics.deadLetters])
    addAbortSignal(AbortSignal.any([stop, AbortSignal.timeout(VERDICT_MS)]), stream)
    const conversation = `example-${randomUUID()}`
    const sent = new Map<string, Turn>()
    for (const text of texts) {
      const turn = turnOf(text, conversation, options.role as Turn['role'])
      sent.set(await publish(producer, topics.turns, turn), turn)
    }
    for await (const verdict of verdicts(stream, topics, sent)) {
      console.log(JSON.stringify(verdict))
      await publish(producer, topics.labels, labelOf(verdict, options.label as Label['label']))
    }
  } finally {
    await consumer.close(true)
    await producer.close()
  }
}

/** One line for a person, or undefined for what is a bug of this program. */
function told(error: unknown): string | undefined {
  if (error instanceof Refused) return error.message
  if (error instanceof MultipleErrors) return `${error.message} ${told(error.errors[0]) ?? ''}`.trim()
  if (error instanceof GenericError) return error.message
  if (error instanceof Error && error.name === 'AbortError') return 'no verdict yet: stopped, or no worker runs'
  if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) return error.message
  return undefined
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      broker: { type: 'string', default: process.env['AEGIS_BROKER'] ?? '127.0.0.1:9092' },
      prefix: { type: 'string', default: process.env['AEGIS_TOPIC_PREFIX'] ?? 'aegis.' },
      label: { type: 'string', default: 'safe' },
      role: { type: 'string', default: 'user' }
    }
  })
  if (positionals.length === 0) throw new Refused('say at least one TEXT: each is one turn of a conversation')
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort(signal))
  await moderate(values, positionals, stopping.signal)
}

try {
  await main()
} catch (error) {
  const line = told(error)
  if (line === undefined) throw error
  console.error(`Error: ${line}`)
  process.exitCode = 1
}
