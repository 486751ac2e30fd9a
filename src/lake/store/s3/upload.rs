//! Large files in parts. The condition is asked when the parts are put together, so a name that was taken
//! meanwhile is still refused.

use std::io;
use std::path::Path;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::S3Store;
use super::failure::{Answer, Failure, Patience};
use crate::error::{Error, Kind, Result};
use crate::lake::store::PutOutcome;

/// The largest file that is put whole, in bytes: one request's time-out must suffice for it.
pub const LARGEST_WHOLE: u64 = 64 << 20;
/// Bytes of a part: what a failed request repeats, and what an upload holds in memory. S3 takes 10,000 parts.
const PART: usize = 16 << 20;
/// How often an upload is begun anew after conflicts.
const TRIES: usize = 5;

/// What came of putting the parts together.
enum Completion {
    Put(PutOutcome),
    /// The parts are lost or of no use: begin anew.
    Again(Error),
}

impl S3Store {
    /// Puts a file in parts under a name that must not exist yet.
    pub(super) async fn put_parts(&self, key: &str, file: &Path) -> Result<PutOutcome> {
        let mut patience = self.patience("putting a file in parts", key);
        let mut tries = 0;
        loop {
            // Looking first spares the upload where somebody was here before.
            if self.size(key, &mut patience).await?.is_some() {
                return Ok(PutOutcome::AlreadyThere);
            }
            let upload = self.begin(key, &mut patience).await?;
            let completion = match self.send_file(key, &upload, file, &mut patience).await {
                Ok(parts) => self.complete(key, &upload, parts, &mut patience).await,
                Err(error) => Err(error),
            };
            if !matches!(completion, Ok(Completion::Put(PutOutcome::Created))) {
                self.abort(key, &upload).await;
            }
            match completion? {
                Completion::Put(outcome) => return Ok(outcome),
                Completion::Again(error) => {
                    tries += 1;
                    if tries == TRIES {
                        return Err(error);
                    }
                    patience.wait(error).await?;
                }
            }
        }
    }

    /// Checks that putting parts together under a name that is taken is refused.
    pub(super) async fn probe_parts(&self, key: &str) -> Result<()> {
        let mut patience = self.patience("trying an upload in parts", key);
        let upload = self.begin(key, &mut patience).await?;
        let completion = match self
            .send(key, &upload, 1, Bytes::from_static(b"parts"), &mut patience)
            .await
        {
            Ok(part) => self.complete(key, &upload, vec![part], &mut patience).await,
            Err(error) => Err(error),
        };
        self.abort(key, &upload).await;
        match completion? {
            Completion::Put(PutOutcome::AlreadyThere) => Ok(()),
            Completion::Put(PutOutcome::Created) => Err(patience
                .error(Kind::Config, "the store overwrites an object by one uploaded in parts".into())
                .hint("the lake needs a store that honours `If-None-Match` on CompleteMultipartUpload")),
            Completion::Again(error) => Err(error),
        }
    }

    async fn begin(&self, key: &str, patience: &mut Patience) -> Result<String> {
        loop {
            let request = self
                .client
                .create_multipart_upload()
                .bucket(&self.bucket)
                .key(key);
            match request
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .send()
                .await
            {
                Ok(begun) => {
                    return begun.upload_id.ok_or_else(|| {
                        patience.error(
                            Kind::Config,
                            "the store began an upload without an id".into(),
                        )
                    });
                }
                Err(error) => self.bear(patience.judge(error), patience).await?,
            }
        }
    }

    async fn send_file(
        &self,
        key: &str,
        upload: &str,
        file: &Path,
        patience: &mut Patience,
    ) -> Result<Vec<CompletedPart>> {
        let reading = |error| unreadable(file, error);
        let mut opened = File::open(file).await.map_err(reading)?;
        let mut parts = Vec::new();
        loop {
            let bytes = read_part(&mut opened).await.map_err(reading)?;
            if bytes.is_empty() {
                return Ok(parts);
            }
            let number = parts.len() as i32 + 1;
            parts.push(self.send(key, upload, number, bytes, patience).await?);
        }
    }

    /// Sends one part. Sent twice, it replaces itself.
    async fn send(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        bytes: Bytes,
        patience: &mut Patience,
    ) -> Result<CompletedPart> {
        loop {
            let request = self
                .client
                .upload_part()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(upload);
            let request = request
                .part_number(number)
                .checksum_algorithm(ChecksumAlgorithm::Crc32);
            match request.body(ByteStream::from(bytes.clone())).send().await {
                Ok(sent) => {
                    patience.progress();
                    let part = CompletedPart::builder()
                        .part_number(number)
                        .set_e_tag(sent.e_tag);
                    return Ok(part.set_checksum_crc32(sent.checksum_crc32).build());
                }
                Err(error) => self.bear(patience.judge(error), patience).await?,
            }
        }
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: Vec<CompletedPart>,
        patience: &mut Patience,
    ) -> Result<Completion> {
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        loop {
            let request = self
                .client
                .complete_multipart_upload()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(upload);
            let Err(error) = request
                .multipart_upload(parts.clone())
                .if_none_match("*")
                .send()
                .await
            else {
                return Ok(Completion::Put(PutOutcome::Created));
            };
            let Failure { answer, error } = patience.judge(error);
            match answer {
                Answer::Refused => return Ok(Completion::Put(PutOutcome::AlreadyThere)),
                // After a conflict S3 wants all parts anew.
                Answer::Conflict => return Ok(Completion::Again(error)),
                Answer::NoUpload | Answer::Unknown => {
                    if answer == Answer::Unknown {
                        patience.wait(error).await?;
                        if self.size(key, patience).await?.is_some() {
                            return Ok(Completion::Put(PutOutcome::AlreadyThere));
                        }
                        continue;
                    }
                    return Ok(match self.size(key, patience).await? {
                        Some(_) => Completion::Put(PutOutcome::AlreadyThere),
                        None => Completion::Again(error),
                    });
                }
                _ => return Err(error),
            }
        }
    }

    /// Gives the parts back. What remains of one that fails, the bucket's lifecycle rule deletes.
    async fn abort(&self, key: &str, upload: &str) {
        let request = self
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload);
        if let Err(error) = request.send().await {
            let failure = self
                .patience("giving up an upload in parts", key)
                .judge(error);
            if !matches!(failure.answer, Answer::NoUpload | Answer::Missing) {
                tracing::warn!(
                    "{}; its parts stay until the bucket's lifecycle rule deletes them",
                    failure.error
                );
            }
        }
    }
}

async fn read_part(file: &mut File) -> io::Result<Bytes> {
    let mut part = BytesMut::with_capacity(PART);
    while part.len() < PART
        && file
            .take((PART - part.len()) as u64)
            .read_buf(&mut part)
            .await?
            > 0
    {}
    Ok(part.freeze())
}

pub fn unreadable(file: &Path, error: io::Error) -> Error {
    Error::new(Kind::LocalIo, "reading a spooled file")
        .about(format!("`{}`", file.display()))
        .because(error)
        .hint("see that the spool directory is readable and nothing else deletes from it")
}
