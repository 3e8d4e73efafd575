#!/usr/bin/env python3
"""Says what it stands on."""

import platform
import sqlite3
import ssl

release = platform.freedesktop_os_release()["PRETTY_NAME"]
print(f"{release}: Python {platform.python_version()}, {ssl.OPENSSL_VERSION.split()[1]}")
assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
