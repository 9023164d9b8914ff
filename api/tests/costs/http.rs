//! The most frequent requests.

use std::net::TcpStream;

use crate::client::Client;
use crate::replica::Replica;
use crate::{FRAMES, PAGE, POST};

const POSTS: u64 = 100;

#[test]
fn a_post_costs_what_it_should() {
    let replica = Replica::start();
    let (mut client, mut readers) = audience(&replica, 1);

    POST.holds_for(POSTS, || {
        replica.while_serving(move || (0..POSTS).for_each(|_| client.post(&mut readers)));
    });

    replica.stop();
}

#[test]
fn a_page_costs_what_it_should() {
    let replica = Replica::start();
    let mut client = replica.client("anna");
    let newest = "GET /v1/groups/lobby/messages?limit=50";
    let mut client = replica.while_serving(move || {
        (0..50).for_each(|_| client.post(&mut []));
        (0..10).for_each(|_| drop(client.ask(newest, "", "")));
        client
    });

    PAGE.holds_for(POSTS, || {
        replica.while_serving(move || {
            for _ in 0..POSTS {
                let page = client.ask(newest, "", "");
                assert_eq!(page.matches("\"received_at\"").count(), 50);
            }
        });
    });

    replica.stop();
}

#[test]
fn a_frame_to_a_thousand_readers_costs_what_it_should() {
    raise_open_files();
    let replica = Replica::start();
    let (mut client, mut readers) = audience(&replica, 1_000);

    FRAMES.holds_for(10, || {
        replica.while_serving(move || (0..10).for_each(|_| client.post(&mut readers)));
    });

    replica.stop();
}

/// A client that posts, and streams of another one: authors also get `stored` frames now and then.
fn audience(replica: &Replica, streams: usize) -> (Client, Vec<TcpStream>) {
    let (mut author, listener) = (replica.client("anna"), replica.client("ben"));
    replica.while_serving(move || {
        let mut readers = listener.listen(streams);
        // Set up once: connections, statements, the room.
        (0..5).for_each(|_| author.post(&mut readers));
        (author, readers)
    })
}

/// Both ends of a stream are open files of this process.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("as many as are allowed may be open");
}
