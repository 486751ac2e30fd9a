//! A store in memory that can be made to fail at any operation.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, Kind, Result};
use crate::lake::{Entry, PutOutcome, Store, Swap};

/// What happens at a chosen operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The process dies before the operation reaches the store.
    CrashBefore,
    /// The operation takes effect, and the process dies before the answer.
    CrashAfter,
    /// The operation takes effect, and its answer is lost.
    AnswerLost,
    /// The store refuses once.
    Refused,
}

#[derive(Default)]
struct Inside {
    objects: BTreeMap<String, (Bytes, u64)>,
    operations: usize,
    trouble: Option<(usize, Trouble)>,
    dead: bool,
    tags: u64,
}

#[derive(Default)]
pub struct FakeStore(Mutex<Inside>);

fn unavailable() -> Error {
    Error::new(Kind::Unavailable, "asking the store")
}

impl FakeStore {
    /// The `at`-th operation from the beginning meets `trouble`.
    pub fn plan_trouble(&self, at: usize, trouble: Trouble) {
        self.0.lock().expect("lock").trouble = Some((at, trouble));
    }

    /// Whether the process that used it died. The next one starts.
    pub fn restart(&self) -> bool {
        std::mem::take(&mut self.0.lock().expect("lock").dead)
    }

    /// No trouble any more.
    pub fn calm(&self) {
        let mut inside = self.0.lock().expect("lock");
        (inside.trouble, inside.dead) = (None, false);
    }

    pub fn is_dead(&self) -> bool {
        self.0.lock().expect("lock").dead
    }

    pub fn operations(&self) -> usize {
        self.0.lock().expect("lock").operations
    }

    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        let inside = self.0.lock().expect("lock");
        let whole = inside.objects.iter();
        whole
            .map(|(path, (body, _))| (path.clone(), body.clone()))
            .collect()
    }

    pub fn remove(&self, path: &str) {
        self.0.lock().expect("lock").objects.remove(path);
    }

    /// Runs one operation, with whatever trouble was planned for it. Others may run in between.
    async fn act<T>(&self, act: impl FnOnce(&mut Inside) -> T) -> Result<T> {
        tokio::task::yield_now().await;
        let mut inside = self.0.lock().expect("lock");
        if inside.dead {
            return Err(unavailable());
        }
        inside.operations += 1;
        let now = inside.operations;
        let trouble = inside.trouble.filter(|(at, _)| *at == now).map(|(_, t)| t);
        match trouble {
            None => Ok(act(&mut inside)),
            Some(Trouble::Refused) => Err(unavailable()),
            Some(Trouble::AnswerLost) => {
                act(&mut inside);
                Err(unavailable())
            }
            Some(Trouble::CrashBefore) => {
                inside.dead = true;
                Err(unavailable())
            }
            Some(Trouble::CrashAfter) => {
                act(&mut inside);
                inside.dead = true;
                Err(unavailable())
            }
        }
    }
}

impl Inside {
    fn create(&mut self, path: &str, body: Bytes) -> PutOutcome {
        if self.objects.contains_key(path) {
            return PutOutcome::AlreadyThere;
        }
        self.tags += 1;
        self.objects.insert(path.to_owned(), (body, self.tags));
        PutOutcome::Created
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn put_new(&self, path: &str, body: Bytes) -> Result<PutOutcome> {
        self.act(|inside| inside.create(path, body)).await
    }

    async fn put_file_new(&self, path: &str, file: &Path) -> Result<PutOutcome> {
        let body = Bytes::from(std::fs::read(file).expect("a file of the spool"));
        self.act(|inside| inside.create(path, body)).await
    }

    async fn get(&self, path: &str) -> Result<Option<(Bytes, String)>> {
        self.act(|inside| {
            let found = inside.objects.get(path);
            found.map(|(body, tag)| (body.clone(), tag.to_string()))
        })
        .await
    }

    async fn tail(&self, path: &str, len: u64) -> Result<Option<(Bytes, u64)>> {
        self.act(|inside| {
            inside.objects.get(path).map(|(body, _)| {
                let start = body.len().saturating_sub(len as usize);
                (body.slice(start..), body.len() as u64)
            })
        })
        .await
    }

    async fn replace(&self, path: &str, body: Bytes, tag: Option<&str>) -> Result<Swap> {
        self.act(|inside| {
            let there = inside.objects.get(path).map(|(_, tag)| tag.to_string());
            if there.as_deref() != tag {
                return Swap::Stale;
            }
            inside.objects.remove(path);
            inside.create(path, body);
            Swap::Done
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        self.act(|inside| {
            let below = inside
                .objects
                .iter()
                .filter(|(path, _)| path.starts_with(prefix));
            below
                .map(|(path, (body, _))| Entry {
                    path: path.clone(),
                    size: body.len() as u64,
                    modified: 0,
                })
                .collect()
        })
        .await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.act(|inside| drop(inside.objects.remove(path))).await
    }

    fn location(&self, path: &str) -> String {
        format!("memory:{path}")
    }
}
