"""Latencies of one team's requests while another team sends expensive ones."""
