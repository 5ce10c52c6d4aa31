package aegis.example;

import static java.nio.charset.StandardCharsets.UTF_8;

import aegis.example.Contract.Keyed;
import aegis.example.Contract.Label;
import aegis.example.Contract.Turn;
import aegis.example.Contract.Verdict;
import com.fasterxml.jackson.core.JsonProcessingException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Publishes turns of a conversation, waits for their verdicts, and labels each of them.
 *
 * <pre>java -jar target/moderate.jar --label safe "How are you?" "Tell me about Kafka."</pre>
 *
 * Prints one line of JSON a verdict. Exit code 0: all turns were decided and labelled; 1: one was not, and stderr says
 * why.
 */
public final class Moderate implements AutoCloseable {
  private static final Duration VERDICT_WAIT = Duration.ofSeconds(60);
  private static final Duration POLL = Duration.ofMillis(500);

  /** A turn has no verdict: it is a dead letter, or none came in time. */
  private static final class Refused extends Exception {
    private static final long serialVersionUID = 1;

    Refused(String message) {
      super(message);
    }
  }

  /** Partition and offset of a record. */
  private record Place(int partition, long offset) {}

  private final Options options;
  private final Producer<String, String> producer;
  private final Consumer<String, String> consumer;

  private Moderate(Options options) {
    this.options = options;
    var strings = new StringSerializer();
    // Idempotence and acks=all are this client's defaults; they are named because verdicts depend on them.
    Map<String, Object> sending =
        Map.of(
            ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, options.broker(),
            ProducerConfig.ACKS_CONFIG, "all",
            ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true,
            ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, 30_000,
            ProducerConfig.MAX_BLOCK_MS_CONFIG, 30_000,
            ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, 10_000);
    Map<String, Object> reading =
        Map.of(
            ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, options.broker(),
            ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false,
            ConsumerConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, 30_000);
    producer = new KafkaProducer<>(sending, strings, strings);
    consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new StringDeserializer());
  }

  private void run() throws Refused, InterruptedException, JsonProcessingException {
    readFromNowOn(options.topic("verdicts"), options.topic("dead-letters"));
    var conversation = "example-" + UUID.randomUUID();
    Map<Place, Turn> sent = new HashMap<>();
    for (var text : options.texts()) {
      // The same turn id again, with the same text, gets the same verdict again.
      var turn = new Turn(UUID.randomUUID().toString(), conversation, options.role(), text, Instant.now());
      sent.put(publish(options.topic("turns"), turn), turn);
    }
    Set<String> waiting = new HashSet<>();
    sent.values().forEach(turn -> waiting.add(turn.turnId()));
    var deadline = Instant.now().plus(VERDICT_WAIT);
    while (!waiting.isEmpty()) {
      if (Instant.now().isAfter(deadline)) {
        throw new Refused("no verdict yet of " + waiting.size() + " turns (does a worker run?)");
      }
      for (var record : consumer.poll(POLL)) {
        if (record.topic().equals(options.topic("dead-letters"))) {
          refuseOurs(record, sent);
          continue;
        }
        var verdict = Contract.JSON.readValue(record.value(), Verdict.class);
        // Others' verdicts come too, and one may come twice, the same to the byte.
        if (waiting.remove(verdict.turnId())) {
          System.out.println(Contract.JSON.writeValueAsString(verdict));
          publish(options.topic("labels"), labelOf(verdict));
        }
      }
    }
  }

  /**
   * Reads these topics from where they end now. Before the turns are published, so that no answer is missed.
   *
   * <p>No group: this program waits for its own verdicts alone, wherever they are. A service that acts on every verdict
   * subscribes with a group id, and commits after it has acted.
   */
  private void readFromNowOn(String... topics) {
    List<TopicPartition> places =
        Stream.of(topics)
            .flatMap(topic -> consumer.partitionsFor(topic).stream())
            .map(found -> new TopicPartition(found.topic(), found.partition()))
            .toList();
    consumer.assign(places);
    consumer.seekToEnd(places);
    places.forEach(consumer::position); // the seek is done when the position is asked for
  }

  /** Where a message stands, once every replica has it. */
  private Place publish(String topic, Keyed message) throws InterruptedException, JsonProcessingException {
    var value = Contract.JSON.writeValueAsString(message);
    try {
      RecordMetadata there = producer.send(new ProducerRecord<>(topic, message.conversationId(), value)).get();
      return new Place(there.partition(), there.offset());
    } catch (ExecutionException failed) {
      throw new KafkaException(topic + ": " + failed.getCause().getMessage(), failed.getCause());
    }
  }

  /** Its headers tell where a dead letter stood, and what was wrong with it. */
  private void refuseOurs(ConsumerRecord<String, String> letter, Map<Place, Turn> sent) throws Refused {
    var place =
        new Place(
            Integer.parseInt(header(letter, "aegis-partition")), Long.parseLong(header(letter, "aegis-offset")));
    if (header(letter, "aegis-topic").equals(options.topic("turns")) && sent.containsKey(place)) {
      var why = header(letter, "aegis-reason") + " (" + header(letter, "aegis-detail") + ")";
      throw new Refused("turn " + sent.get(place).turnId() + ": " + why);
    }
  }

  private static String header(ConsumerRecord<?, ?> record, String name) {
    return new String(record.headers().lastHeader(name).value(), UTF_8);
  }

  private Label labelOf(Verdict verdict) {
    return new Label(
        verdict.turnId(),
        verdict.conversationId(),
        verdict.tenant(),
        verdict.source(),
        options.label(),
        "example-java",
        Instant.now());
  }

  /** From another thread: ends the wait for verdicts. */
  private void stop() {
    consumer.wakeup();
  }

  @Override
  public void close() {
    consumer.close();
    producer.close();
  }

  public static void main(String[] arguments) throws Exception {
    System.exit(moderate(Options.of(arguments)));
  }

  private static int moderate(Options options) throws Exception {
    if (options.texts().isEmpty()) {
      System.err.println("Error: say at least one TEXT: each is one turn of a conversation");
      return 1;
    }
    var ended = new CountDownLatch(1);
    try (var moderate = new Moderate(options)) {
      // SIGTERM and Ctrl-C: the virtual machine waits for this hook, and so for a clean end.
      Runtime.getRuntime().addShutdownHook(new Thread(() -> stopAndWait(moderate, ended)));
      moderate.run();
      return 0;
    } catch (Refused | KafkaException error) {
      System.err.println("Error: " + (error instanceof WakeupException ? "stopped" : error.getMessage()));
      return 1;
    } finally {
      ended.countDown();
    }
  }

  private static void stopAndWait(Moderate moderate, CountDownLatch ended) {
    moderate.stop();
    try {
      ended.await(30, TimeUnit.SECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private record Options(String broker, String prefix, String label, String role, List<String> texts) {
    static Options of(String[] arguments) {
      Map<String, String> named = new HashMap<>();
      List<String> texts = new ArrayList<>();
      for (int i = 0; i < arguments.length; i++) {
        if (arguments[i].startsWith("--") && i + 1 < arguments.length) {
          named.put(arguments[i].substring(2), arguments[++i]);
        } else {
          texts.add(arguments[i]);
        }
      }
      var environment = System.getenv();
      return new Options(
          named.getOrDefault("broker", environment.getOrDefault("AEGIS_BROKER", "127.0.0.1:9092")),
          named.getOrDefault("prefix", environment.getOrDefault("AEGIS_TOPIC_PREFIX", "aegis.")),
          named.getOrDefault("label", "safe"),
          named.getOrDefault("role", "user"),
          texts);
    }

    String topic(String name) {
      return prefix + name + ".v1";
    }
  }
}
