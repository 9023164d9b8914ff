//! The tasks that must not end before the server does.

use causeway_replicator::driver::Replicator;
use causeway_store::log::WriterTask;
use causeway_store::timelines::FollowTask;
use tokio::task::JoinHandle;

/// The tasks that last as long as the server. When one of them is gone it only looks as if it served:
/// better that whoever watches over it starts it again.
pub(super) struct Lasting {
    pub writer: WriterTask,
    pub follower: FollowTask,
    pub hub: JoinHandle<()>,
    pub presence: JoinHandle<()>,
    pub peers: JoinHandle<()>,
    pub clients: JoinHandle<()>,
}

impl Lasting {
    /// Waits until one of them, or of the replicator's, ends.
    pub async fn first_to_end(&mut self, replicator: &Replicator) -> &'static str {
        tokio::select! {
            part = self.first_of_these() => part,
            () = replicator.ended() => "the exchange with the peers",
        }
    }

    async fn first_of_these(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.writer => "the writer of the log",
            _ = &mut self.follower => "the read model",
            _ = &mut self.hub => "what feeds the streams",
            _ = &mut self.presence => "what tells the peers who is online",
            _ = &mut self.peers => "the port for peers",
            _ = &mut self.clients => "the port for clients",
        }
    }
}

/// Waits for a task that may have been waited for before: what ends early has told its end by then.
pub(super) async fn ended(task: &mut JoinHandle<()>) {
    if !task.is_finished() {
        drop(task.await);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn each_part_that_panics_or_returns_ends_the_server() {
        let parts = [
            "the writer of the log",
            "the read model",
            "what feeds the streams",
            "what tells the peers who is online",
            "the port for peers",
            "the port for clients",
        ];
        for (place, part) in parts.into_iter().enumerate() {
            for panics in [true, false] {
                let mut lasting = lasting(place, panics);

                let ended = timeout(DEADLINE, lasting.first_of_these()).await;

                assert_eq!(ended, Ok(part));
            }
        }
    }

    /// All last but the one at this place.
    fn lasting(ends: usize, panics: bool) -> Lasting {
        let task = |place: usize| {
            tokio::spawn(async move {
                if place != ends {
                    std::future::pending::<()>().await;
                }
                assert!(!panics, "as asked");
            })
        };
        Lasting {
            writer: task(0),
            follower: task(1),
            hub: task(2),
            presence: task(3),
            peers: task(4),
            clients: task(5),
        }
    }
}
