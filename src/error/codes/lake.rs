//! 04: the lake and its store.

codes! {
    NO_BUCKET = 401 Config "there is no such bucket"
        cause "The store answers, but has no bucket of that name, or it is in another region."
        remedy "Create the bucket, or correct `lake.url`, `lake.region` or `lake.endpoint`."
        example "error[CDC-0401]: `s3://retail-lake/`: writing an object: no such bucket\n  next: create the bucket, or correct `lake.url`";
    LAKE_REFUSED = 402 Permission "the store refuses"
        cause "401 or 403: the keys are wrong or expired, or a policy lacks the rights named. Topics go on meanwhile, for as long as their retention."
        remedy "Give the rights that `next:` names; it is looked at again every minute."
        example "error[CDC-0402]: `s3://retail-lake/`: writing an object: access denied (403)\n  next: check the credentials; they need s3:PutObject";
    NO_CONDITIONAL_WRITES = 403 Config "the store takes a second object under one name"
        cause "Exactly once rests on a write that succeeds for one writer only. This store ignores the condition, or does not know it."
        remedy "Use AWS S3, or a server that honours `If-None-Match` and `If-Match`."
        example "error[CDC-0403]: `s3://retail-lake/`: a second write under one name was accepted\n  next: the lake needs a store with conditional writes: AWS S3, or a server that honours `If-None-Match` and `If-Match`";
    LAKE_UNREACHABLE = 404 Unavailable "the store does not answer"
        cause "5xx, `SlowDown`, time-outs or lost answers. A lost answer is settled by looking; nothing is written twice."
        remedy "See to the store. It is tried again by itself; topics hold the rows meanwhile."
        example "error[CDC-0404]: `s3://retail-lake/`: writing an object: dispatch failure\n  next: see that the store answers at its endpoint: `lake.endpoint` or `AWS_ENDPOINT_URL`, without either AWS; `cdc follow` tries again by itself";
    PARTITION_STOPPED = 405 Data "a partition is not in the lake"
        cause "That partition of a topic stands still: a record there, or the lake, is not what it must be. Others go on."
        remedy "Do what stands behind `next:`."
        example "  not in the lake[CDC-0405]: partition 2 from offset 1,200 on: a record belongs to no run";
    SPOOL_FAILED = 406 LocalIo "the spool directory cannot be written"
        cause "Files are written to a local directory before they are uploaded; its disk is full, or the user may not write there. The records are still in the topic."
        remedy "Make room, or set `TMPDIR` to a larger disk. The partition goes on by itself when there is room."
        example "error[CDC-0406]: `/tmp/cdc-spool`: writing a file: no space left on device\n  next: see that the spool directory is writable and its disk has room";
    LAKE_WAITS = 407 Unavailable "a partition of the lake waits"
        cause "What it needs does not answer at the moment; it is tried again with growing pauses."
        remedy "Nothing, or see to the store or the disk."
        example "the lake is waiting: retail.orders/2";
    NO_REGION = 408 Config "the lake's region is not known"
        cause "Neither the configuration nor the AWS environment names it."
        remedy "Set `lake.region`, or `AWS_REGION` in the environment."
        example "error[CDC-0408]: the lake's region is not known";
    NO_LAKE_CREDENTIALS = 409 Permission "there are no credentials for the lake"
        cause "They are looked for where every AWS tool does: environment, profile, single sign-on, the instance's or pod's role. None gave any."
        remedy "Set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, `AWS_PROFILE`, or run with a role that has access."
        example "error[CDC-0409]: finding credentials for the lake: no credentials were found";
    EMPTY_PARTITION_VALUE = 410 Data "a row has no value for its partition"
        cause "The column that `partition_by` cuts by is NULL or empty in a row, and a directory has a name."
        remedy "Set `null_partition:` on this table, or partition by another column."
        example "error[CDC-0410]: ec.sales: column `store_id` is empty in a row, and the row's partition is its value";
    OTHER_TIME_ZONE_RULES = 411 TryLater "the time zone database differs between workers"
        cause "This layout's days were cut by other rules than this machine has; rows of one moment would come into two days."
        remedy "Give all workers the same time zone database (the package `tzdata`)."
        example "error[CDC-0411]: the time zone database has other rules for `Asia/Seoul` than where this layout was made";
    NOT_SEEN_YET = 412 TryLater "readers of the lake do not see it yet"
        cause "The rows are safe in Kafka, and a sink brings them into the lake by itself: nothing is lost and nothing needs to be sent again. The command waited for a minute while no sink was at work, or for a minute longer than a file stays open while one was and did not move; or it was stopped while it waited. A bulk load that is in the lake already is shown once all of its files were counted."
        remedy "See with `cdc status` that somebody writes the lake, and that no partition waits or stands still; else start `cdc follow` or `cdc follow --only sink`. Do not type the command again: `cdc status` shows when it is there."
        example "error[CDC-0412]: pos.stores is in the lake, but readers do not see it yet\n  next: `cdc status` shows whether a sink is at work and why it waits";
}
