import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.CloseableIterator;

/**
 * Runs scripts of Flink SQL, embedded and streaming, each given as a pair of files: the script, and where the rows of
 * its last statement go as sorted lines of JSON. Its other statements are DDL and {@code SET 'key' = 'value'}.
 *
 * <p>A result that changes ends as the rows that are left when every change has been applied.
 */
public final class FlinkRows {
    private static final Pattern SET = Pattern.compile("SET\\s+'([^']+)'\\s*=\\s*'([^']*)'");
    private static final DateTimeFormatter MILLISECONDS = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSS");

    public static void main(String[] files) throws Exception {
        boolean failed = false;
        for (int i = 0; i < files.length; i += 2) {
            String name = Path.of(files[i]).getParent().getFileName().toString();
            try {
                run(name, Path.of(files[i]), Path.of(files[i + 1]));
            } catch (Exception e) {
                failed = true;
                System.out.println(name + ": " + causes(e));
            }
        }
        System.exit(failed ? 1 : 0);
    }

    private static void run(String name, Path script, Path output) throws Exception {
        TableEnvironment flink = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
        flink.getConfig().set("execution.target", "local");
        flink.getConfig().set("parallelism.default", "1");
        // Times are UTC unless a script says otherwise; what is late depends on the records alone, not on a timer.
        flink.getConfig().set("table.local-time-zone", "UTC");
        flink.getConfig().set("pipeline.auto-watermark-interval", "0 ms");
        List<String> statements = statements(Files.readString(script));
        for (String statement : statements.subList(0, statements.size() - 1)) {
            Matcher set = SET.matcher(statement);
            if (set.matches()) {
                flink.getConfig().set(set.group(1), set.group(2));
            } else {
                flink.executeSql(statement);
            }
        }
        TableResult result = flink.executeSql(statements.get(statements.size() - 1));
        List<String> columns = result.getResolvedSchema().getColumnNames();
        TreeMap<String, Integer> rows = new TreeMap<>();
        int changes = 0;
        try (CloseableIterator<Row> changelog = result.collect()) {
            while (changelog.hasNext()) {
                Row row = changelog.next();
                boolean gone = row.getKind() == RowKind.UPDATE_BEFORE || row.getKind() == RowKind.DELETE;
                changes += gone ? 1 : 0;
                rows.merge(json(columns, row), gone ? -1 : 1, Integer::sum);
            }
        }
        List<String> lines = new ArrayList<>();
        for (Map.Entry<String, Integer> row : rows.entrySet()) {
            if (row.getValue() < 0) {
                throw new IllegalStateException("taken back more often than given: " + row.getKey());
            }
            for (int i = 0; i < row.getValue(); i++) {
                lines.add(row.getKey());
            }
        }
        Files.write(output, lines);
        System.out.println(name + ": " + lines.size() + " rows" + (changes > 0 ? ", after " + changes + " taken back" : ""));
    }

    /** A script's statements: cut at semicolons that end a line, without comments, which have a line of their own. */
    private static List<String> statements(String script) {
        String code = script.replaceAll("(?m)^\\s*--.*$", "");
        return java.util.Arrays.stream(code.split("(?m);\\s*$")).map(String::strip).filter(s -> !s.isEmpty()).toList();
    }

    private static String json(List<String> columns, Row row) {
        StringBuilder text = new StringBuilder("{");
        for (int i = 0; i < columns.size(); i++) {
            text.append(i == 0 ? "" : ",").append(quoted(columns.get(i))).append(':').append(json(row.getField(i)));
        }
        return text.append('}').toString();
    }

    private static String json(Object value) {
        if (value == null || value instanceof Boolean || value instanceof Integer || value instanceof Long) {
            return String.valueOf(value);
        }
        if (value instanceof Double) {
            // Plain notation, and a point even where the number is whole: what tells a DOUBLE from a BIGINT.
            String plain = new BigDecimal(value.toString()).toPlainString();
            return plain.contains(".") ? plain : plain + ".0";
        }
        if (value instanceof LocalDateTime) {
            return quoted(MILLISECONDS.format((LocalDateTime) value));
        }
        if (value instanceof Instant) {
            return quoted(MILLISECONDS.format(((Instant) value).atOffset(ZoneOffset.UTC)));
        }
        if (value instanceof String || value instanceof LocalDate) {
            return quoted(value.toString());
        }
        throw new IllegalArgumentException("no form in JSON for " + value.getClass());
    }

    private static String quoted(String text) {
        if (!text.matches("[ -~&&[^\"\\\\]]*")) {
            throw new IllegalArgumentException("text that would need escapes: " + text);
        }
        return '"' + text + '"';
    }

    private static String causes(Throwable error) {
        StringBuilder text = new StringBuilder();
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            text.append(text.length() == 0 ? "" : "\n  because of ").append(cause);
        }
        return text.toString();
    }
}
