# An S3 server that keeps each bucket as a folder and honours conditional writes (`If-None-Match: *` answers 412).

s3_prepare() { mkdir -p "$STACK/s3"; }

s3_start() {
    run s3 "$STACK/s3" "$S3_HOME/bin/s3s-fs" --host 127.0.0.1 --port "$S3_PORT" \
        --access-key cdc-access-key --secret-key cdc-secret-key "$STACK/s3"
}

# A signed request, made by the client that reads the lake later on.
s3_python() {
    "$PYTHON" - "127.0.0.1:$S3_PORT" "$1" <<'PYTHON'
import sys
from pyarrow.fs import FileSelector, S3FileSystem
store = S3FileSystem(access_key="cdc-access-key", secret_key="cdc-secret-key", endpoint_override=sys.argv[1], scheme="http",
                     region="us-east-1", allow_bucket_creation=True, connect_timeout=5, request_timeout=5)
if sys.argv[2] == "create-bucket":
    store.create_dir("retail-lake")
else:
    store.get_file_info(FileSelector("", recursive=False))
PYTHON
}

s3_answers() { s3_python list; }

s3_ready() { s3_python create-bucket; }
