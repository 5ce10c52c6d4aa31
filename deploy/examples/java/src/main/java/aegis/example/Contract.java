package aegis.example;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import java.time.Instant;
import java.util.List;
import java.util.Map;

/** The records of {@code stream/contracts/*.schema.json}, as far as this program needs them. */
final class Contract {
  /** Fields that are not named here are ignored, and those without a value are not written: the contract only grows. */
  static final ObjectMapper JSON =
      JsonMapper.builder()
          .addModule(new JavaTimeModule())
          .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .defaultPropertyInclusion(JsonInclude.Value.construct(JsonInclude.Include.NON_NULL, null))
          .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS)
          .build();

  private Contract() {}

  /** What goes to Kafka keyed by its conversation, which keeps a conversation in order in one partition. */
  sealed interface Keyed permits Turn, Label {
    String conversationId();
  }

  record Turn(String turnId, String conversationId, String role, String text, Instant sentAt) implements Keyed {}

  /** Where a turn stands in its topic. */
  record Source(String topic, int partition, long offset) {}

  /** Score and status of one expert; the set of statuses grows, so it is no enum. The score is null if it slept. */
  record Opinion(String name, String version, Double score, double weight, String status) {}

  /**
   * The score is null when no expert was awake; the label then says what the policy wants of such a turn. A field that
   * came later stands at its default in older verdicts.
   */
  record Verdict(
      String turnId,
      String conversationId,
      String tenant,
      String role,
      String label,
      Double score,
      String policy,
      Map<String, Double> categories,
      List<Opinion> experts,
      String context,
      Source source,
      Instant scoredAt,
      Boolean askLabel) {
    Verdict {
      askLabel = askLabel == null || askLabel;
    }
  }

  /** The source, copied from the verdict, leads the label to its turn without a search. */
  record Label(
      String turnId,
      String conversationId,
      String tenant,
      Source source,
      String label,
      String annotator,
      Instant labelledAt)
      implements Keyed {}
}
