"""Webhooks: events of the audit log, sent to addresses of the team by the rules of Standard Webhooks.

operations.py       create, list, change, delete, test; rotate secrets
deliveries.py       list deliveries, and send one again
publishing.py       makes deliveries of new audit events, in one transaction with their removal from the outbox
payloads.py         the bodies of requests (pure)
schedule.py         what follows an attempt: the next one, or the end (pure)
signing.py          secrets and signatures
delivery_leases.py  which delivery is sent next, by one worker
attempts.py         writes the result of an attempt
sender.py           the worker that sends deliveries
"""
