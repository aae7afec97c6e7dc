"""A TCP proxy that misbehaves on demand; ``flunq chaos`` uses the same one."""

from __future__ import annotations

from flunq.testing.proxy import Proxy, proxy_to

__all__ = ["Proxy", "proxy_to"]
