import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;

/** A page by the JDK's own server. With the argument `check` it asks itself once, and ends. */
public final class Server {
    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
        server.createContext("/", exchange -> {
            byte[] page = "hello from Java\n".getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, page.length);
            try (OutputStream body = exchange.getResponseBody()) {
                body.write(page);
            }
        });
        server.start();
        if (arguments.length == 1 && arguments[0].equals("check")) {
            try (InputStream page = URI.create("http://127.0.0.1:8080/").toURL().openStream()) {
                page.transferTo(System.out);
            }
            System.out.flush();
            server.stop(0);
        }
    }
}
