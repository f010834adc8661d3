# SPDX-License-Identifier: MIT
"""Thin adapters, one module for each HTTP client. Importing this package, or one of its modules, imports no client."""
