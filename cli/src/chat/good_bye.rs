//! The end: what waits is given a last chance, and the person is told what becomes of it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Chat, Link, TICK};

/// How long a program that ends waits for its last messages to be answered, where nobody sits before
/// it.
const LAST_CHANCE: Duration = Duration::from_secs(10);
/// The same where somebody waits for it to end.
const LAST_CHANCE_SEEN: Duration = Duration::from_secs(2);

impl Chat {
    pub(super) async fn say_good_bye(&mut self) {
        let deadline = Instant::now()
            + if self.output.is_terminal() {
                LAST_CHANCE_SEEN
            } else {
                LAST_CHANCE
            };
        while self.unsent_here() > 0 && Instant::now() < deadline {
            tokio::select! {
                Some(news) = self.heard.recv() => self.hear(news).await,
                () = tokio::time::sleep(TICK / 4) => self.tend_link().await,
            }
        }
        while let Ok(news) = self.heard.try_recv() {
            self.hear(news).await;
        }
        let unsent = self.unsent_here();
        if unsent > 0 {
            let kept = match &self.state.user {
                Some(user) if self.keeps() => {
                    format!("; kept, and sent when causeway runs again as {user}")
                }
                _ => " and not kept: no server answered".to_owned(),
            };
            self.complain(&format!("{unsent} not sent{kept}"));
        }
        self.tasks.clear();
        if let Link::LoggedIn(client) = &self.link {
            // Whether the server hears it or not, the program ends.
            let _ = tokio::time::timeout(TICK, client.log_out()).await;
        }
    }

    /// How many messages for this cluster are not sent.
    fn unsent_here(&self) -> usize {
        let cluster = self.state.cluster.as_deref();
        self.outbox.borrow().len_for(cluster)
    }
}
