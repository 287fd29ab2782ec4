"""The server's nodes are compared with ours, so this process needs a host too."""

import hosting

hosting.ensure_host()
