//! The general code of each kind: for a failure that has no code of its own.

codes! {
    NO = 1 No "the answer is no"
        cause "The question was understood and answered, and the answer is no: a check failed, a count is not equal, a copy was made already. Nothing was changed."
        remedy "Read the line behind `error:`; the one behind `next:` says what can be done instead."
        example "error[CDC-0001]: ec.orders: the copy broke off among rows whose cursor is NULL, and without a key it cannot go on there";
    USAGE = 2 Usage "the command line cannot be understood"
        cause "A command, a flag or a value on the command line does not exist, or two of them do not go together."
        remedy "`cdc --help` lists the commands, and `--help` behind a command shows its flags with an example."
        example "error: unrecognized subcommand 'snapshoot'";
    DATA = 65 Data "a value or a record is not what it must be"
        cause "A row, a record in Kafka or a file in the lake holds something that cannot be carried on exactly. The table stands still at that place; others go on. The value itself is in no message."
        remedy "Look at the place the message names (key and column, or topic, partition and offset), correct what is there, then `cdc restart TABLE`; where `cdc status` says `not in the lake`, do what its `next:` says."
        example "error[CDC-0065]: ec.orders: the remembered place of its copy cannot be read";
    UNAVAILABLE = 69 Unavailable "a database, broker or store does not answer"
        cause "The network, a restart or too much load. `cdc follow` tries again by itself, with growing pauses of up to 20 s; commands that end by themselves give up after a minute."
        remedy "See that the server runs and that this machine reaches it. Nothing needs to be restarted here."
        example "error[CDC-0069]: connecting: connection refused";
    BUG = 70 Bug "a fault of `cdc` itself"
        cause "Something happened that the program holds to be impossible. It stops rather than guess; what was committed before stays exact."
        remedy "Please report it with the whole message, `cdc --version` and the log around it. `cdc restart TABLE` is safe to try."
        example "error[CDC-0070]: ec.orders: decoding gave another number of rows";
    LOCAL_IO = 74 LocalIo "a local file or directory cannot be read or written"
        cause "A directory is missing, the disk is full, or the user that runs `cdc` may not write there. It is about this machine, not about a database or a store."
        remedy "Make room, or give the user the right to the path that the message names. `TMPDIR` moves temporary files elsewhere."
        example "error[CDC-0074]: `/tmp/cdc/orders`: creating a spool folder: permission denied";
    TRY_LATER = 75 TryLater "it works later or elsewhere"
        cause "Another process has what this one asks for, decided first, or ended before it answered; this command was stopped before it was done; or a newer `cdc` wrote something that this one does not know. What is done already stays done."
        remedy "Wait until the other one is done, ask it instead, or upgrade this one, as `next:` says. Without a `next:` type the command again; `cdc status` shows how far it came."
        example "error[CDC-0075]: 100 workers of pipeline `retail` run here already";
    PERMISSION = 77 Permission "credentials or grants are missing"
        cause "A database, the broker or the store knows who asks, and does not allow it; or it does not know who asks."
        remedy "Grant what `next:` names, or correct the login. `cdc check` looks at all of them at once."
        example "error[CDC-0077]: kafka: topic authorization failed";
    CONFIG = 78 Config "the configuration, or the world it describes, is wrong"
        cause "What the file says and what is there do not fit: a table or column that does not exist, a topic that another program changed, a store that lacks what is needed."
        remedy "Change one of the two, as `next:` says; `cdc check` and `cdc plan` show both without changing anything."
        example "error[CDC-0078]: ec.orders: `columns` leaves no column";
}
