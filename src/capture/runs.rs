//! Rows become runs: encoded, placed, and numbered without a gap. Pure.

use arrow::array::RecordBatch;
use ulid::Ulid;

use super::committer::Run;
use crate::error::{Error, Kind, Result};
use crate::model::Fingerprint;
use crate::state::Head;
use crate::topic::LARGEST_MESSAGE;
use crate::wire::{JsonEncoder, PartitionRecords, RunHeader, Span};

/// The largest record: a run of one record must fit a message, with room for its key, header and framing.
pub(super) const LARGEST_RECORD: usize = LARGEST_MESSAGE - (64 << 10);

/// Encodes a batch and numbers its records, moving `head` on: sequences are dense per partition and epoch.
pub fn runs_of(
    rows: &RecordBatch,
    encoder: &mut JsonEncoder,
    head: &mut Head,
    fingerprint: &Fingerprint,
    load: Option<Ulid>,
) -> Result<Vec<Run>> {
    let keyless = (head.batches % head.partitions.max(1) as u64) as i32;
    let mut runs = Vec::new();
    for records in encoder.encode(rows, keyless, LARGEST_RECORD)? {
        for records in split(records, LARGEST_MESSAGE) {
            let count = records.spans.len() as u64;
            let Some(next) = usize::try_from(records.partition)
                .ok()
                .and_then(|p| head.next.get_mut(p))
            else {
                return Err(Error::new(
                    Kind::Bug,
                    format!("partition {} is none of the topic's", records.partition),
                ));
            };
            let header = RunHeader {
                fingerprint: fingerprint.clone(),
                epoch: head.epoch,
                first: *next,
                records: count,
                load,
            };
            let first = *next;
            *next += count;
            head.rows += count;
            runs.push(Run {
                header: header.to_string(),
                first,
                records,
            });
        }
    }
    head.batches += 1;
    Ok(runs)
}

/// Cuts records so that no run is larger than `largest` bytes; a single record is never cut.
fn split(records: PartitionRecords, largest: usize) -> Vec<PartitionRecords> {
    if records.buffer.len() <= largest {
        return vec![records];
    }
    let mut parts = Vec::new();
    let (mut start, mut first) = (0_usize, 0_usize);
    let ends: Vec<usize> = records
        .spans
        .iter()
        .map(|span| span.value_end as usize)
        .collect();
    for index in 0..ends.len() {
        let is_last = index + 1 == ends.len();
        if is_last || ends[index + 1] - start > largest {
            let spans = records.spans[first..=index].iter().map(|span| Span {
                key_end: span.key_end - start as u32,
                value_end: span.value_end - start as u32,
            });
            parts.push(PartitionRecords {
                partition: records.partition,
                buffer: records.buffer[start..ends[index]].to_vec(),
                spans: spans.collect(),
            });
            (start, first) = (ends[index], index + 1);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_partition_is_cut_into_runs_between_records() {
        let mut records = PartitionRecords {
            partition: 2,
            ..PartitionRecords::default()
        };
        for i in 0..10_u8 {
            records.buffer.extend([b'k', i, b'v', b'v', i]);
            let end = records.buffer.len() as u32;
            records.spans.push(Span {
                key_end: end - 3,
                value_end: end,
            });
        }
        let whole: Vec<_> = records
            .records()
            .map(|(k, v)| (k.map(<[u8]>::to_vec), v.to_vec()))
            .collect();
        for largest in [1, 5, 7, 12, 49, 50, 1000] {
            let parts = split(records.clone(), largest);
            assert!(
                parts
                    .iter()
                    .all(|p| p.buffer.len() <= largest.max(5) && p.partition == 2)
            );
            let again: Vec<_> = parts
                .iter()
                .flat_map(|p| {
                    p.records()
                        .map(|(k, v)| (k.map(<[u8]>::to_vec), v.to_vec()))
                        .collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(again, whole, "largest {largest}");
        }
    }
}
