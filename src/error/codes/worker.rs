//! 05: workers, requests and answers.

codes! {
    SERVED_ALREADY = 501 TryLater "another worker serves these tables"
        cause "A worker follows all tables of this pipeline; a command that names some of them would move their rows a second time."
        remedy "Leave the table list out to join it, or ask it: `cdc snapshot TABLE`, `pause`, `resume`, `restart` and `offsets` are requests that it answers."
        example "error[CDC-0501]: worker `till-1` serves this pipeline's tables already";
    NOBODY_FOLLOWS = 502 TryLater "nobody follows this pipeline, so nobody answers"
        cause "`cdc rejected replay` asks a worker to send rows, and none runs. `pause`, `resume`, `restart` and `offsets` need none."
        remedy "Start `cdc follow`, then type it again."
        example "error[CDC-0502]: nobody follows this pipeline, so nobody answers";
    COPIED_ALREADY = 503 No "the table was copied already"
        cause "A cursor table is copied once and then followed; a second copy would write every row twice. It was left as it is; other tables of the same command were copied, and are in the lake when it ends."
        remedy "`cdc follow --once TABLE` goes on from there; `cdc snapshot --again TABLE` begins anew."
        example "error[CDC-0503]: ec.orders: it was copied already";
    NEWER_VERSION = 504 TryLater "a newer `cdc` is at work on this pipeline"
        cause "What it wrote has a format that this version does not know; guessing would be worse than waiting."
        remedy "Upgrade this worker."
        example "error[CDC-0504]: the state record has version 3; a newer `cdc` wrote it; update this worker";
    OTHER_CONFIGURATION = 505 TryLater "workers of one pipeline have different files"
        cause "A hash of the configuration is compared when a worker joins; with two files two workers would do different things to one table."
        remedy "Give all workers the same file, then start them one after the other. Passwords, `memory` and `worker` may differ."
        example "error[CDC-0505]: worker `till-1` runs this pipeline with another configuration";
    TWIN = 506 TryLater "two processes have one worker's name"
        cause "Another process on this host, or elsewhere, runs under the name that `worker:` gives."
        remedy "Stop it, or give each its own name. A killed process's membership ends within 10 s."
        example "error[CDC-0506]: another process on this host runs as worker `till`";
    NOT_CONFIGURED = 507 Usage "no table is called so"
        cause "The command line names a table or glob that the configuration does not mean."
        remedy "`cdc plan` without a name lists all tables of this pipeline."
        example "error[CDC-0507]: no table is called `odrers`";
    NO_TICK = 508 Config "a bulk table without a tick cannot be followed"
        cause "A load costs a full read, so it never has a default pace."
        remedy "Write `schedule: \"30 2 * * * Asia/Seoul\"` or `every: 1h` below it; `cdc snapshot` loads it without."
        example "error[CDC-0508]: bulk tables without a tick cannot be followed: `ec.products`";
    NO_SUCH_CODE = 509 No "there is no such code"
        cause "`cdc explain` was asked for a code that no error has."
        remedy "`cdc explain` without a code lists all of them."
        example "error[CDC-0509]: there is no code `CDC-9999`\n  next: the nearest is `CDC-0510`; `cdc explain` lists all";
    NO_TABLES = 510 Config "the configuration names no table that exists"
        cause "Every name and glob was looked for in the databases, and nothing matched."
        remedy "`cdc check` says what each source holds; names without a dot mean the default schema only."
        example "error[CDC-0510]: the configuration names no table that exists";
}
