"""The periodic jobs of a server process.

scheduler.py    the threads that run the jobs
jobs.py         the jobs
job.py          what a job is, and jobs that one process at a time does under a lease
"""
