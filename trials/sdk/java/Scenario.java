// One scenario through a client of openapi-generator (java, library native): what everybody's bot does.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.concurrent.CompletableFuture;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.ApiResponse;
import org.openapitools.client.api.GroupsApi;
import org.openapitools.client.api.MessagesApi;
import org.openapitools.client.api.ServerApi;
import org.openapitools.client.api.SessionsApi;
import org.openapitools.client.api.StreamsApi;
import org.openapitools.client.model.Change;
import org.openapitools.client.model.Changes;
import org.openapitools.client.model.Login;
import org.openapitools.client.model.Message;
import org.openapitools.client.model.MessageChange;
import org.openapitools.client.model.MessageDraft;
import org.openapitools.client.model.MessagePage;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.Server;
import org.openapitools.client.model.Snapshot;
import org.openapitools.client.model.View;

public final class Scenario {
    private static final String GROUP = "sdk-java";
    private static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in));

    private Scenario() {}

    private static ApiClient[] loggedIn(String name) throws ApiException {
        ApiClient[] replicas = new ApiClient[3];
        for (int number = 0; number < 3; number++) {
            replicas[number] = new ApiClient();
            replicas[number].updateBaseUri(System.getenv("CAUSEWAY_" + (number + 1)));
        }
        String token = new SessionsApi(replicas[0]).logIn(new Login().name(name), null, null).getToken();
        for (ApiClient replica : replicas) {
            replica.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
        }
        return replicas;
    }

    private static ApiResponse<Message> post(ApiClient at, String text, String key, String atLeast) throws ApiException {
        MessageDraft draft = new MessageDraft().text(text);
        return new MessagesApi(at).postMessageWithHttpInfo(GROUP, draft, key, null, null, atLeast, null);
    }

    private static String follow(ApiClient at, String cursor, String text) {
        try {
            while (true) {
                Changes page = new StreamsApi(at).listChanges(GROUP, cursor, 20_000, null, null, null);
                cursor = page.getCursor();
                for (Change change : page.getEvents()) {
                    if (change.getActualInstance() instanceof MessageChange message
                            && message.getData().getText().equals(text)) {
                        return message.getData().getId();
                    }
                }
            }
        } catch (ApiException failure) {
            throw new IllegalStateException(failure);
        }
    }

    /** Where a proxy strips the mark, the cursor does the same. */
    private static String markOf(ApiResponse<?> answer, Snapshot snapshot) {
        var marks = answer.getHeaders().get("causeway-mark");
        return marks == null ? snapshot.getCursor() : marks.get(0);
    }

    private static void demand(boolean fine, String what) {
        if (!fine) {
            throw new IllegalStateException(what);
        }
    }

    private static void told(String line) throws java.io.IOException {
        System.out.println(line);
        INPUT.readLine();
    }

    public static void main(String[] arguments) throws Exception {
        ApiClient[] ann = loggedIn("ann-java");
        ApiClient[] bob = loggedIn("bob-java");
        ApiResponse<Snapshot> joined = new GroupsApi(ann[0]).joinGroupWithHttpInfo(GROUP, null, null);
        String mark = markOf(joined, joined.getData());

        ApiResponse<Message> posted = post(ann[0], "one", "key 1", mark);
        Message first = posted.getData();
        Message again = post(ann[1], "one", "key 1", mark).getData();
        demand(posted.getStatusCode() == 201 && again.getId().equals(first.getId()), "retry");
        Message second = post(ann[0], "two", "key 2", mark).getData();

        MessagesApi messages = new MessagesApi(ann[0]);
        MessagePage newest = messages.listMessages(GROUP, null, null, null, 1, null, null);
        demand(newest.getMessages().get(0).getId().equals(second.getId()), "newest");
        MessagePage older = messages.listMessages(GROUP, second.getId(), null, null, 1, null, null);
        demand(older.getMessages().get(0).getId().equals(first.getId()) && !older.getHasBefore(), "older");

        new GroupsApi(bob[0]).joinGroup(GROUP, null, null);
        ApiResponse<Message> liked = new MessagesApi(bob[0]).likeMessageWithHttpInfo(GROUP, first.getId(), null, null);
        demand(liked.getData().getLikes() == 1, "like");

        // A typed error.
        try {
            messages.likeMessage(GROUP, first.getId(), null, null);
            demand(false, "own message");
        } catch (ApiException refused) {
            Problem problem = ApiClient.createDefaultObjectMapper().readValue(refused.getResponseBody(), Problem.class);
            demand(refused.getCode() == 409 && problem.getCode().equals("own_message"), "own message");
        }

        // A code that is of a later version, where the server is.
        try {
            messages.showMessage(GROUP, "nothing", null, null);
            demand(false, "no message");
        } catch (ApiException refused) {
            Problem problem = ApiClient.createDefaultObjectMapper().readValue(refused.getResponseBody(), Problem.class);
            demand(problem.getStatus() == 404 && problem.getCode() != null, "no message");
        }

        // Where to fail over to, and what a replica knows of the others.
        Server server = new ServerApi(ann[0]).showServer(null, null);
        demand(server.getPublicUrls().size() == 3 && server.getMode() != null, "server");
        View view = new ServerApi(ann[0]).showView(null, null);
        demand(view.getPeers().stream().allMatch(peer -> peer.getStatus() != null && peer.getOut() != null), "peers");
        demand(view.getAlarms().stream().allMatch(alarm -> alarm.getKind() != null), "alarms");

        // Followed at the third replica, while the second one is killed.
        String likeMark = markOf(liked, new GroupsApi(bob[0]).showGroup(GROUP, null, null));
        Snapshot snapshot = new GroupsApi(ann[2]).showGroup(GROUP, likeMark, null);
        told("kill 2");
        CompletableFuture<String> followed =
                CompletableFuture.supplyAsync(() -> follow(ann[2], snapshot.getCursor(), "three"));
        Message third = post(ann[0], "three", "key 3", mark).getData();
        demand(followed.get().equals(third.getId()), "followed");
        told("start 2");
    }
}
