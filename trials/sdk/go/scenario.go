// One scenario through a client of openapi-generator (go): what everybody's bot does.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	causeway "causeway/client"
)

const group = "sdk-go"

var input = bufio.NewReader(os.Stdin)

type user struct {
	ctx context.Context
	at  [3]*causeway.APIClient
}

func demand(fine bool, what string, values ...any) {
	if !fine {
		panic(fmt.Sprint(what, ": ", values))
	}
}

func told(line string) {
	fmt.Println(line)
	_, err := input.ReadString('\n')
	demand(err == nil, line, err)
}

// Where a proxy strips the mark, the cursor does the same.
func markOf(answer *http.Response, snapshot *causeway.Snapshot) string {
	if mark := answer.Header.Get("Causeway-Mark"); mark != "" {
		return mark
	}
	return snapshot.Cursor
}

func loggedIn(name string) user {
	var someone user
	for number := range someone.at {
		configuration := causeway.NewConfiguration()
		configuration.Servers = causeway.ServerConfigurations{{URL: os.Getenv(fmt.Sprintf("CAUSEWAY_%d", number+1))}}
		someone.at[number] = causeway.NewAPIClient(configuration)
	}
	session, _, err := someone.at[0].SessionsAPI.LogIn(context.Background()).Login(*causeway.NewLogin(name)).Execute()
	demand(err == nil, "log in", err)
	someone.ctx = context.WithValue(context.Background(), causeway.ContextAccessToken, session.Token)
	return someone
}

func (someone user) post(replica int, text, key, atLeast string) (*causeway.Message, int) {
	draft := *causeway.NewMessageDraft(text)
	message, answer, err := someone.at[replica].MessagesAPI.PostMessage(someone.ctx, group).
		IdempotencyKey(key).AtLeast(atLeast).MessageDraft(draft).Execute()
	demand(err == nil, "post", err)
	return message, answer.StatusCode
}

func (someone user) follow(replica int, cursor, text string, found chan<- string) {
	for {
		page, _, err := someone.at[replica].StreamsAPI.ListChanges(someone.ctx, group).Cursor(cursor).WaitMs(20000).Execute()
		demand(err == nil, "changes", err)
		cursor = page.Cursor
		for _, change := range page.Events {
			if message := change.MessageChange; message != nil && message.Data.Text == text {
				found <- message.Data.Id
				return
			}
		}
	}
}

func main() {
	ann, bob := loggedIn("ann-go"), loggedIn("bob-go")
	snapshot, joined, err := ann.at[0].GroupsAPI.JoinGroup(ann.ctx, group).Execute()
	demand(err == nil, "join", err)
	mark := markOf(joined, snapshot)

	first, created := ann.post(0, "one", "key 1", mark)
	again, _ := ann.post(1, "one", "key 1", mark)
	demand(created == http.StatusCreated && again.Id == first.Id, "retry", first, again)
	second, _ := ann.post(0, "two", "key 2", mark)

	newest, _, err := ann.at[0].MessagesAPI.ListMessages(ann.ctx, group).Limit(1).Execute()
	demand(err == nil && newest.Messages[0].Id == second.Id, "newest", err)
	older, _, err := ann.at[0].MessagesAPI.ListMessages(ann.ctx, group).Limit(1).Before(second.Id).Execute()
	demand(err == nil && older.Messages[0].Id == first.Id && !older.HasBefore, "older", err)

	_, _, err = bob.at[0].GroupsAPI.JoinGroup(bob.ctx, group).Execute()
	demand(err == nil, "join", err)
	liked, answer, err := bob.at[0].MessagesAPI.LikeMessage(bob.ctx, group, first.Id).Execute()
	demand(err == nil && liked.Likes == 1, "like", err)

	// A typed error.
	_, _, err = ann.at[0].MessagesAPI.LikeMessage(ann.ctx, group, first.Id).Execute()
	var refused *causeway.GenericOpenAPIError
	demand(errors.As(err, &refused), "own message", err)
	problem, isProblem := refused.Model().(causeway.Problem)
	demand(isProblem && problem.Code == "own_message" && problem.Status == http.StatusConflict, "own message", problem)

	// A code that is of a later version, where the server is.
	_, _, err = ann.at[0].MessagesAPI.ShowMessage(ann.ctx, group, "nothing").Execute()
	demand(errors.As(err, &refused), "no message", err)
	problem, isProblem = refused.Model().(causeway.Problem)
	demand(isProblem && problem.Status == http.StatusNotFound, "no message", problem)

	// Where to fail over to, and what a replica knows of the others.
	server, _, err := ann.at[0].ServerAPI.ShowServer(context.Background()).Execute()
	demand(err == nil && len(server.PublicUrls) == 3 && server.Mode != "", "server", err)
	view, _, err := ann.at[0].ServerAPI.ShowView(ann.ctx).Execute()
	demand(err == nil && len(view.Peers) == 2, "view", err)
	for _, peer := range view.Peers {
		demand(peer.Status != "" && peer.Out != "", "peer", peer)
	}
	for _, alarm := range view.Alarms {
		demand(alarm.Kind != "", "alarm", alarm)
	}

	// Followed at the third replica, while the second one is killed.
	snapshot, _, err = bob.at[0].GroupsAPI.ShowGroup(bob.ctx, group).Execute()
	demand(err == nil, "snapshot", err)
	snapshot, _, err = ann.at[2].GroupsAPI.ShowGroup(ann.ctx, group).AtLeast(markOf(answer, snapshot)).Execute()
	demand(err == nil, "snapshot", err)
	told("kill 2")
	found := make(chan string)
	go ann.follow(2, snapshot.Cursor, "three", found)
	third, _ := ann.post(0, "three", "key 3", mark)
	demand(<-found == third.Id, "followed", third)
	told("start 2")
}
