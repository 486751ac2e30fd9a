//! The `lake:` block.

use std::path::PathBuf;

use super::block::{Block, Report, Value};
use crate::config::peer::is_loopback;
use crate::config::{FileSettings, LakePlace, LakeSettings, defaults, units, words};
use crate::error::Code;

/// `None` where the place is missing or wrong, which is reported.
pub(super) fn lake(block: &Block<'_>, report: &mut Report) -> Option<LakeSettings> {
    let day_in = report.parsed(block.value("day_in"), units::time_zone);
    let files = files(block, report);
    let place = place(block, report);
    Some(LakeSettings {
        place: place?,
        day_in: day_in.unwrap_or(jiff::tz::TimeZone::UTC),
        files,
    })
}

fn place(block: &Block<'_>, report: &mut Report) -> Option<LakePlace> {
    if block.lacks("url") {
        let text = "`lake.url` is missing; write `s3://bucket/prefix`, or a directory as `/path` or `./path`";
        report.problem(Code::KEY_MISSING, block.place, text);
    }
    let place = report.parsed(block.value("url"), LakePlace::parse);
    let endpoint = report.parsed(block.value("endpoint"), |text| {
        match url::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => {
                Ok(text.trim_end_matches('/').to_owned())
            }
            _ => Err(
                "is no address of a store; write e.g. `https://minio.example.com:9000`".to_owned(),
            ),
        }
    });
    let region = report.parsed(block.value("region"), units::some_text);
    let path_style = report.parsed(block.value("path_style"), units::boolean);
    let ca_file = report.parsed(block.value("ca_file"), units::some_text);
    if let (Some(value), Some(endpoint)) = (block.value("endpoint"), &endpoint) {
        warn_if_readable(endpoint, &value, report);
    }
    match place? {
        LakePlace::S3 { bucket, prefix, .. } => Some(LakePlace::S3 {
            bucket,
            prefix,
            // Few stores but AWS's own know a bucket by its host name.
            path_style: path_style.unwrap_or(endpoint.is_some()),
            endpoint,
            region,
            ca_file: ca_file.map(PathBuf::from),
        }),
        LakePlace::Local(path) => {
            for key in ["endpoint", "region", "path_style", "ca_file"] {
                if let Some(value) = block.value(key) {
                    let text = format!("`{}` is for S3, but `lake.url` is a directory", value.path);
                    report.problem(Code::KEYS_DO_NOT_FIT, value.place, text);
                }
            }
            Some(LakePlace::Local(path))
        }
    }
}

/// What is signed cannot be changed on the way, but it can be read.
fn warn_if_readable(endpoint: &str, value: &Value<'_>, report: &mut Report) {
    let is_here = |url: &url::Url| url.host_str().is_some_and(is_loopback);
    let url = url::Url::parse(endpoint).ok();
    if url.is_some_and(|url| url.scheme() == "http" && !is_here(&url)) {
        let text = format!(
            "`{}` asks for no encryption: rows can be read on the way; write `https://…`",
            value.path
        );
        report.warning(value.place, text);
    }
}

fn files(block: &Block<'_>, report: &mut Report) -> FileSettings {
    let files = block.block("files");
    let in_files = |key| files.as_ref().and_then(|files| files.value(key));
    let rows = report.parsed(in_files("rows"), |text| units::number(text, 1..=i64::MAX));
    let size = report.parsed(in_files("size"), |text| {
        units::size_of_at_least(text, defaults::LEAST_FILE)
    });
    let age = report.parsed(in_files("age"), units::duration);
    let compression = report.parsed(in_files("compression"), |text| {
        units::choice(text, words::COMPRESSIONS)
    });
    FileSettings {
        rows: rows.map_or(defaults::FILE_ROWS, i64::unsigned_abs),
        size: size.unwrap_or(defaults::FILE_SIZE_BYTES),
        age: age.unwrap_or(defaults::FILE_AGE),
        compression: compression.unwrap_or(defaults::FILE_COMPRESSION),
    }
}
