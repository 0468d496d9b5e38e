import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.tools.AclCommand;
import org.apache.kafka.tools.TopicCommand;

/** Runs commands of kafka-topics.sh and kafka-acls.sh, a line each, words parted by tabs, in one process: a start each costs seconds. */
public class KafkaTools {
    public static void main(String[] files) throws Exception {
        Exit.setExitProcedure((code, message) -> { if (code != 0) Runtime.getRuntime().halt(code); });
        for (String line : Files.readAllLines(Path.of(files[0]))) {
            String[] words = line.split("\t");
            String[] rest = Arrays.copyOfRange(words, 1, words.length);
            if (words[0].equals("kafka-topics.sh")) TopicCommand.main(rest);
            else AclCommand.main(rest);
        }
    }
}
