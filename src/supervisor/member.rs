//! How a worker introduces itself to the group, and whom it can work beside.

use crate::error::{Error, Kind, Result};
use crate::topic::Member;

/// What a worker's `client.id` says: `cdc.<pipeline>.<worker>.<configuration hash>.<all|some>`. None of the
/// parts contains a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    pub pipeline: String,
    pub worker: String,
    /// Of the resolved configuration: workers of one pipeline must agree on it.
    pub hash: String,
    /// Whether it serves all tables of its partitions; a command with a table list does not.
    pub serves_all: bool,
}

impl Introduction {
    pub fn client_id(&self) -> String {
        let scope = if self.serves_all { "all" } else { "some" };
        format!(
            "cdc.{}.{}.{}.{scope}",
            self.pipeline, self.worker, self.hash
        )
    }

    pub fn parse(client_id: &str) -> Option<Self> {
        let mut parts = client_id.split('.');
        let (Some("cdc"), Some(pipeline), Some(worker), Some(hash), Some(scope), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return None;
        };
        let serves_all = match scope {
            "all" => true,
            "some" => false,
            _ => return None,
        };
        Some(Introduction {
            pipeline: pipeline.into(),
            worker: worker.into(),
            hash: hash.into(),
            serves_all,
        })
    }

    /// Whether those that are there work by the same configuration.
    pub fn check_configuration(&self, members: &[Member]) -> Result<()> {
        members
            .iter()
            .try_for_each(|member| match Introduction::parse(&member.client_id) {
                Some(other) => self.check_hash(&other, &other.seen_on(member)),
                None => Ok(()),
            })
    }

    fn check_hash(&self, other: &Introduction, who: &str) -> Result<()> {
        if other.hash == self.hash {
            return Ok(());
        }
        Err(Error::new(
            Kind::TryLater,
            format!("{who} runs this pipeline with another configuration"),
        )
        .code(crate::error::Code::OTHER_CONFIGURATION)
        .hint("give all workers the same file, then start them one after the other"))
    }

    /// Whether this worker may join beside those that are there.
    pub fn check_beside(&self, members: &[Member]) -> Result<()> {
        for member in members {
            let Some(other) = Introduction::parse(&member.client_id) else {
                continue;
            };
            let who = other.seen_on(member);
            if other.worker == self.worker {
                return Err(Error::new(Kind::TryLater, format!("{who} runs under this worker's name"))
                    .code(crate::error::Code::TWIN)
                    .hint("if it was killed, its membership ends within 10 s; else give one of them another `worker:`"));
            }
            self.check_hash(&other, &who)?;
            if !other.serves_all {
                return Err(Error::new(
                    Kind::TryLater,
                    format!("{who} serves only the tables it was asked for"),
                )
                .hint("wait until that command has ended"));
            }
            if !self.serves_all {
                return Err(served_already(&who));
            }
        }
        Ok(())
    }

    /// Whether this worker may keep what was just shared out. Who joins in the same moment is not seen before: of two that
    /// cannot work side by side one leaves now. A command that ends by itself leaves to anybody, for it would wait for
    /// tables that are not its; one that serves only some leaves to one that serves all; else the name decides.
    pub fn check_shared(&self, ends_by_itself: bool, members: &[Member]) -> Result<()> {
        for member in members {
            let Some(other) = Introduction::parse(&member.client_id) else {
                continue;
            };
            let is_older = other.worker < self.worker;
            let leaves = match (self.serves_all, other.serves_all) {
                _ if other.worker == self.worker => false,
                _ if ends_by_itself => true,
                (false, true) => true,
                (true, false) => false,
                (false, false) => is_older,
                (true, true) => is_older && other.hash != self.hash,
            };
            if !leaves {
                continue;
            }
            let who = other.seen_on(member);
            self.check_hash(&other, &who)?;
            return Err(served_already(&who));
        }
        Ok(())
    }

    fn seen_on(&self, member: &Member) -> String {
        let host = member.host.trim_start_matches('/');
        format!("worker `{}` on {host}", self.worker)
    }
}

fn served_already(who: &str) -> Error {
    let text = format!("{who} serves this pipeline's tables already");
    Error::new(Kind::TryLater, text)
        .code(crate::error::Code::SERVED_ALREADY)
        .hint("leave the table list out, or ask that worker: it answers requests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str, hash: &str, serves_all: bool) -> Introduction {
        Introduction {
            pipeline: "retail".into(),
            worker: name.into(),
            hash: hash.into(),
            serves_all,
        }
    }

    fn member(introduction: &Introduction) -> Member {
        Member {
            client_id: introduction.client_id(),
            host: "/127.0.0.1".into(),
        }
    }

    #[test]
    fn an_introduction_is_read_as_it_was_written() {
        let introduction = worker("till-1", "0123456789abcdef", false);
        assert_eq!(
            introduction.client_id(),
            "cdc.retail.till-1.0123456789abcdef.some"
        );
        assert_eq!(
            Introduction::parse(&introduction.client_id()),
            Some(introduction)
        );
        assert_eq!(Introduction::parse("rdkafka"), None);
    }

    #[test]
    fn workers_of_one_configuration_share_and_all_others_are_refused() {
        let me = worker("a", "1", true);
        assert!(me.check_beside(&[member(&worker("b", "1", true))]).is_ok());
        for (i, other) in [
            worker("a", "1", true),
            worker("b", "2", true),
            worker("b", "1", false),
        ]
        .iter()
        .enumerate()
        {
            let refused = me.check_beside(&[member(other)]).unwrap_err();
            assert_eq!(refused.kind().exit_code(), 75, "case {i}");
        }
        assert!(
            worker("a", "1", false)
                .check_beside(&[member(&worker("b", "1", true))])
                .is_err()
        );
    }
    #[test]
    fn of_two_that_joined_in_one_moment_exactly_one_leaves_unless_they_can_share() {
        let followers = [
            worker("b", "1", true),
            worker("c", "1", false),
            worker("d", "2", true),
            worker("e", "1", false),
        ];
        let leaves = |me: &Introduction, other: &Introduction| {
            me.check_shared(false, &[member(me), member(other)])
                .is_err()
        };
        for (i, one) in followers.iter().enumerate() {
            for other in &followers[i + 1..] {
                assert!(
                    leaves(one, other) != leaves(other, one),
                    "{one:?} {other:?}"
                );
            }
        }
        let (one, other) = (worker("a", "1", true), worker("b", "1", true));
        assert!(!leaves(&one, &other) && !leaves(&other, &one));
        // One that ends by itself would wait for what another has.
        assert!(one.check_shared(true, &[member(&other)]).is_err());
        assert!(one.check_shared(true, &[member(&one)]).is_ok());
    }
}
