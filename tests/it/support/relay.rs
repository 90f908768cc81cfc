//! An address under which a server is reached from outside, known before the server listens.

use std::sync::{Arc, OnceLock};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on; what comes before it knows where to is turned away.
pub struct Relay {
    pub url: String,
    target: Arc<OnceLock<String>>,
}

impl Relay {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = Arc::<OnceLock<String>>::default();
        let known = Arc::clone(&target);
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let Some(target) = known.get().cloned() else { continue };
                tokio::spawn(async move {
                    let mut to = TcpStream::connect(target).await.ok()?;
                    copy_bidirectional(&mut from, &mut to).await.ok()
                });
            }
        });
        Self { url, target }
    }

    /// To a server given as `http://HOST:PORT`.
    pub fn lead_to(&self, url: &str) {
        self.target.set(url.strip_prefix("http://").unwrap().to_owned()).unwrap();
    }
}
