//! A bucket on a real S3 server, which keeps it in a directory and checks signatures.

use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;

const NAME: &str = "films";
const ACCESS_KEY_ID: &str = "access";
const SECRET_ACCESS_KEY: &str = "s3cret";

/// The server; stops when the test ends.
pub struct Bucket {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    directory: TempDir,
}

impl Bucket {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(NAME)).unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(directory.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    // An error is a client that hangs up.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { endpoint, directory }
    }

    /// What a server has to be told to use it, below a prefix.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("outputs.url", format!("s3://{NAME}/sea/outputs")),
            ("outputs.endpoint", self.endpoint.clone()),
            ("outputs.access_key_id", ACCESS_KEY_ID.to_owned()),
            ("outputs.secret_access_key", SECRET_ACCESS_KEY.to_owned()),
        ]
    }

    fn folder(&self) -> PathBuf {
        self.directory.path().join(NAME)
    }

    /// The keys of the objects in it.
    pub fn keys(&self) -> Vec<String> {
        let (mut folders, mut keys) = (vec![self.folder()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let key = path.strip_prefix(self.folder()).unwrap();
                    keys.push(key.to_str().unwrap().to_owned());
                }
            }
        }
        keys
    }

    /// What is in an object.
    pub fn read(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.folder().join(key)).unwrap()
    }

    /// Takes the bucket away with everything in it. In its place is a file, since the server would
    /// make the directory again.
    pub fn remove(&self) {
        std::fs::remove_dir_all(self.folder()).unwrap();
        std::fs::write(self.folder(), "").unwrap();
    }

    /// Puts an empty one there.
    pub fn make(&self) {
        std::fs::remove_file(self.folder()).unwrap();
        std::fs::create_dir(self.folder()).unwrap();
    }
}
