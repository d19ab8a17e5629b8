"""A translator as a service: batches across callers, an API over HTTP."""
