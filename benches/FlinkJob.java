import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;

/**
 * Runs one script of Flink SQL in this process, streaming, to the end of its last statement, an INSERT.
 *
 * <p>Arguments: the script, its statements cut at semicolons that end a line, and the parallelism. Printed are the
 * seconds and CPU seconds until the job was submitted: the start of Java and of Flink, and planning.
 */
public final class FlinkJob {
    public static void main(String[] arguments) throws Exception {
        TableEnvironment flink = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
        flink.getConfig().set("execution.target", "local");
        flink.getConfig().set("parallelism.default", arguments[1]);
        flink.getConfig().set("table.local-time-zone", "UTC");
        TableResult last = null;
        for (String statement : Files.readString(Path.of(arguments[0])).split("(?m);\\s*$")) {
            if (!statement.isBlank()) {
                last = flink.executeSql(statement);
            }
        }
        var java = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        double seconds = ManagementFactory.getRuntimeMXBean().getUptime() / 1e3;
        System.out.printf("{\"start_seconds\":%.3f,\"start_cpu_seconds\":%.3f}%n", seconds, java.getProcessCpuTime() / 1e9);
        last.await();
        System.exit(0);
    }
}
