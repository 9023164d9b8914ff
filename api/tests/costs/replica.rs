//! A whole replica on the thread of its test.

use std::net::SocketAddr;

use causeway_api::config::Config;
use causeway_api::server;
use causeway_rig::Settings;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::store::Store;

/// A runtime whose tasks all run on the thread that blocks on it.
pub fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A replica that serves, as the program does, while its runtime is blocked on.
pub struct Replica {
    runtime: Runtime,
    tasks: LocalSet,
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
    _store: Store,
}

impl Replica {
    pub fn start() -> Self {
        let runtime = one_thread();
        let store = runtime.block_on(Store::create());
        let config = config(&store);
        let stop = CancellationToken::new();
        let (ready, served) = oneshot::channel();
        let tasks = LocalSet::new();
        let serving = tasks.spawn_local(server::run(config, stop.clone(), move |public, _| {
            ready.send(public).expect("it is waited for");
        }));
        let address = tasks
            .block_on(&runtime, served)
            .expect("the replica starts");
        Self {
            runtime,
            tasks,
            address,
            stop,
            serving,
            _store: store,
        }
    }

    /// Logs a client in.
    pub fn client(&self, name: &'static str) -> Client {
        let address = self.address;
        self.while_serving(move || Client::log_in(address, name))
    }

    /// Serves on this thread while a client works on another.
    pub fn while_serving<T: Send + 'static>(
        &self,
        client: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let working = self.runtime.spawn_blocking(client);
        self.tasks
            .block_on(&self.runtime, working)
            .expect("the client is done")
    }

    pub fn stop(self) {
        self.stop.cancel();
        let served = self.tasks.block_on(&self.runtime, self.serving);
        served.unwrap().expect("the replica stops");
    }
}

fn config(store: &Store) -> Config {
    let data = store.folder.path().join("data");
    let key = "a key for tests, longer than thirty-two bytes";
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let settings = Settings {
        database_url: Some(store.url.clone()),
        replicas: vec![(1, url(12001), url(11001))],
        ..Settings::new("costs", 1, &data, key)
    };
    let path = settings.write().expect("a file can be written");
    Config::load(&path).expect("the settings are good")
}
