// Reads records with the decoders that the SBE tool generated, and prints what they read.
//
// Usage: java -cp ... ReadRecords PACKAGE NAMES < RECORDS
// NAMES is the comma-separated list of the schema's messages, RECORDS one record in hex a line.
// Prints a line for each message of a record, an empty line after each record:
//     NAME TAB FIELD=VALUE TAB FIELD=VALUE ...
// An integer is in decimal, a float or double its bits in decimal, an array of bytes in hex; an
// enumeration is its number, then ":" and its name where the schema has one for it.
// Fields are found by what the tool generates for each: xId() and xSinceVersion().

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.agrona.DirectBuffer;
import org.agrona.concurrent.UnsafeBuffer;

public final class ReadRecords {
    private interface Reader {
        String text() throws ReflectiveOperationException;
    }

    private static final class Decoder {
        final Object flyweight;
        final Method wrap;
        final Map<String, Reader> fields = new HashMap<>();
        final List<String> names = new ArrayList<>();

        Decoder(Class<?> kind) throws ReflectiveOperationException {
            flyweight = kind.getDeclaredConstructor().newInstance();
            wrap = kind.getMethod("wrap", DirectBuffer.class, int.class, int.class, int.class);
            Map<Integer, String> byNumber = new java.util.TreeMap<>();
            for (Method method : kind.getMethods()) {
                String name = method.getName();
                if (Modifier.isStatic(method.getModifiers()) && name.endsWith("SinceVersion")) {
                    String field = name.substring(0, name.length() - "SinceVersion".length());
                    byNumber.put((Integer) kind.getMethod(field + "Id").invoke(null), field);
                }
            }
            for (String field : byNumber.values()) {
                names.add(field);
                fields.put(field, reader(kind, field));
            }
        }

        private Reader reader(Class<?> kind, String field) throws ReflectiveOperationException {
            Method raw = methodOf(kind, field + "Raw");
            if (raw != null) {
                Method known = kind.getMethod(field).getReturnType().getMethod("get", raw.getReturnType());
                return () -> named((Number) raw.invoke(flyweight), known);
            }
            if (methodOf(kind, field + "Length") != null) {
                int length = (Integer) kind.getMethod(field + "Length").invoke(null);
                Method at = kind.getMethod(field, int.class);
                return () -> {
                    byte[] found = new byte[length];
                    for (int i = 0; i < length; i++) {
                        found[i] = ((Number) at.invoke(flyweight, i)).byteValue();
                    }
                    return HexFormat.of().formatHex(found);
                };
            }
            Method value = kind.getMethod(field);
            return () -> bits((Number) value.invoke(flyweight));
        }

        String line(DirectBuffer record, int at, int blockLength, int version)
            throws ReflectiveOperationException {
            wrap.invoke(flyweight, record, at, blockLength, version);
            StringBuilder line = new StringBuilder();
            for (String name : names) {
                line.append('\t').append(name).append('=').append(fields.get(name).text());
            }
            return line.toString();
        }
    }

    private static Method methodOf(Class<?> kind, String name) {
        try {
            return kind.getMethod(name);
        } catch (NoSuchMethodException absent) {
            return null;
        }
    }

    private static String named(Number raw, Method known) throws ReflectiveOperationException {
        try {
            return raw + ":" + known.invoke(null, raw);
        } catch (InvocationTargetException unknown) {
            return raw.toString();
        }
    }

    private static String bits(Number value) {
        if (value instanceof Float) {
            return Integer.toString(Float.floatToRawIntBits(value.floatValue()));
        }
        if (value instanceof Double) {
            return Long.toString(Double.doubleToRawLongBits(value.doubleValue()));
        }
        return value.toString();
    }

    public static void main(String[] arguments) throws Exception {
        String where = arguments[0] + ".";
        Object header = Class.forName(where + "MessageHeaderDecoder").getDeclaredConstructor().newInstance();
        Class<?> headerKind = header.getClass();
        Method wrapHeader = headerKind.getMethod("wrap", DirectBuffer.class, int.class);
        int headerLength = headerKind.getField("ENCODED_LENGTH").getInt(null);
        Map<Integer, String> names = new HashMap<>();
        Map<Integer, Decoder> decoders = new HashMap<>();
        for (String name : arguments[1].split(",")) {
            Class<?> kind = Class.forName(where + name + "Decoder");
            int template = kind.getField("TEMPLATE_ID").getInt(null);
            names.put(template, name);
            decoders.put(template, new Decoder(kind));
        }
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        StringBuilder out = new StringBuilder();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            UnsafeBuffer record = new UnsafeBuffer(HexFormat.of().parseHex(line));
            for (int at = 0; at < record.capacity(); ) {
                wrapHeader.invoke(header, record, at);
                int blockLength = (Integer) headerKind.getMethod("blockLength").invoke(header);
                int template = (Integer) headerKind.getMethod("templateId").invoke(header);
                int version = (Integer) headerKind.getMethod("version").invoke(header);
                at += headerLength;
                out.append(names.get(template));
                out.append(decoders.get(template).line(record, at, blockLength, version)).append('\n');
                at += blockLength;
            }
            out.append('\n');
        }
        new PrintStream(System.out, false, "UTF-8").append(out).flush();
    }
}
