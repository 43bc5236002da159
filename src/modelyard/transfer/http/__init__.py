"""HTTP/1.1 connections of transfers, and checks of responses."""
