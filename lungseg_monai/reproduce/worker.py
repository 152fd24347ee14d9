"""A process that does one pickled task from its input, and tells on its output how that goes (`workers.py`)."""

import os
import pickle
import signal
import sys
from base64 import b64encode

from lungseg_monai.reproduce.child import end_with_parent
from lungseg_monai.reproduce.progress import Relay


def main() -> int:
    """Call what is read with a Relay; the result goes out as ["ended", pickle], an error as ["failed", text]."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.default_int_handler)
    end_with_parent()
    relay = Relay(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # what libraries print is no message
    try:
        result = pickle.load(sys.stdin.buffer)(relay)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, this model alone is lost
        relay.send("failed", f"{type(error).__name__}: {error}")
        return 1
    relay.send("ended", b64encode(pickle.dumps(result)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
