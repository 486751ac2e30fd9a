//! Where the lake is: `s3://bucket/prefix` or a local directory.

use std::path::PathBuf;

use super::LakePlace;

impl LakePlace {
    /// Reads `s3://bucket/prefix`, `file:///path`, `/path` or `./path`. The message is the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return s3(rest);
        }
        if let Some(rest) = text.strip_prefix("file://") {
            return match rest.strip_prefix('/') {
                Some(_) => Ok(LakePlace::Local(PathBuf::from(rest))),
                None => Err("names a host; write `file:///path`".to_owned()),
            };
        }
        if text.contains("://") {
            return Err("is of a store that is not there yet; there are `s3://bucket/prefix` and local directories".to_owned());
        }
        let is_path = text.starts_with(['/', '.']);
        if is_path {
            Ok(LakePlace::Local(PathBuf::from(text)))
        } else {
            Err(
                "is no place; write `s3://bucket/prefix`, or a directory as `/path` or `./path`"
                    .to_owned(),
            )
        }
    }
}

impl LakePlace {
    /// The place that this one lies in; `None` for a bucket and for the root of a file system.
    pub fn above(&self) -> Option<Self> {
        match self {
            LakePlace::Local(directory) => {
                let directory = std::path::absolute(directory).ok()?;
                Some(LakePlace::Local(directory.parent()?.to_owned()))
            }
            LakePlace::S3 { prefix, .. } if prefix.is_empty() => None,
            LakePlace::S3 {
                bucket,
                prefix,
                endpoint,
                region,
                path_style,
                ca_file,
            } => Some(LakePlace::S3 {
                bucket: bucket.clone(),
                prefix: prefix
                    .rsplit_once('/')
                    .map_or(String::new(), |(above, _)| above.to_owned()),
                endpoint: endpoint.clone(),
                region: region.clone(),
                path_style: *path_style,
                ca_file: ca_file.clone(),
            }),
        }
    }
}

fn s3(rest: &str) -> Result<LakePlace, String> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(allowed) {
        return Err(
            "names no bucket; a bucket's name has 3 to 63 lowercase letters, digits, `.` and `-`"
                .to_owned(),
        );
    }
    let prefix = prefix.trim_matches('/');
    if prefix
        .split('/')
        .any(|part| part.is_empty() && !prefix.is_empty() || matches!(part, "." | ".."))
    {
        return Err("has an empty part, `.` or `..` in its prefix".to_owned());
    }
    Ok(LakePlace::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        endpoint: None,
        region: None,
        path_style: false,
        ca_file: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lies_in_others_up_to_the_root() {
        let places = |text: &str| {
            let mut place = LakePlace::parse(text).ok();
            let mut shown = Vec::new();
            while let Some(above) = place.as_ref().and_then(LakePlace::above) {
                shown.push(match &above {
                    LakePlace::S3 { prefix, .. } => prefix.clone(),
                    LakePlace::Local(path) => path.display().to_string(),
                });
                place = Some(above);
            }
            shown
        };
        assert_eq!(places("s3://retail-lake/raw/ec/t"), ["raw/ec", "raw", ""]);
        assert_eq!(places("/srv/lake/ec"), ["/srv/lake", "/srv", "/"]);
    }

    #[test]
    fn a_lake_is_a_bucket_with_a_prefix_or_a_directory() {
        let shown = |text: &str| match LakePlace::parse(text) {
            Ok(LakePlace::S3 { bucket, prefix, .. }) => format!("{bucket}|{prefix}"),
            Ok(LakePlace::Local(path)) => path.display().to_string(),
            Err(why) => why,
        };
        assert_eq!(shown("s3://retail-lake/raw/days/"), "retail-lake|raw/days");
        assert_eq!(shown("s3://retail-lake"), "retail-lake|");
        assert_eq!(shown("file:///srv/lake"), "/srv/lake");
        assert_eq!(shown("./lake"), "./lake");
        for (wrong, why) in [
            ("lake", "is no place"),
            ("", "is no place"),
            ("~/lake", "is no place"),
            ("gs://lake/raw", "is of a store that is not there yet"),
            ("s3://", "names no bucket"),
            ("s3://Retail_Lake/raw", "names no bucket"),
            ("s3://retail-lake/a//b", "has an empty part"),
            ("file://host/lake", "names a host"),
        ] {
            assert!(shown(wrong).starts_with(why), "{wrong}: {}", shown(wrong));
        }
    }
}
