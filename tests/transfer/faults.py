"""Behaviours of a ``FaultyServer``: responses that are wrong, late, cut or lost."""

import fcntl
import socket
import struct
import termios
import threading

from tests.transfer.faulty_server import Behavior, Exchange, serve_correctly, serve_object
from tests.waiting import pause, wait_until


def _head_of_range(exchange: Exchange, **changed: str | int) -> bytes:
    """Send the correct head except for the ``changed`` headers, and return the correct body."""
    content = exchange.server.objects[exchange.path]
    start, end = exchange.range or (0, len(content))
    right: dict[str, str | int] = {
        "Content_Length": end - start,
        "Content_Range": f"bytes {start}-{end - 1}/{len(content)}",
        "ETag": exchange.server.etags[exchange.path],
    }
    exchange.send_head(206 if exchange.range else 200, **(right | changed))
    return content[start:end]


def respond(status: int, body: bytes = b"", **headers: str | int) -> Behavior:
    """Respond at once, without reading a body, and close the connection."""

    def behaviour(exchange: Exchange) -> None:
        exchange.respond(status, body, **headers)
        exchange.close_connection()

    return behaviour


def stall_after(count: int) -> Behavior:
    """Send ``count`` bytes of the body and then nothing, without closing."""

    def behaviour(exchange: Exchange) -> None:
        exchange.sock.sendall(_head_of_range(exchange)[:count])
        exchange.wait_for_client_to_leave()

    return behaviour


def trickle_after(count: int, may_end: threading.Event) -> Behavior:
    """Send ``count`` bytes of the body, then single bytes, and all the rest once the event is set."""

    def behaviour(exchange: Exchange) -> None:
        body = _head_of_range(exchange)
        exchange.sock.sendall(body[:count])
        sent = count
        while not may_end.wait(0.02) and sent < len(body):
            exchange.sock.sendall(body[sent : sent + 1])
            sent += 1
        exchange.sock.sendall(body[sent:])

    return behaviour


def truncate_after(count: int) -> Behavior:
    """Send ``count`` bytes of the body and close."""

    def behaviour(exchange: Exchange) -> None:
        exchange.sock.sendall(_head_of_range(exchange)[:count])
        exchange.close_connection()

    return behaviour


def reset_after(count: int) -> Behavior:
    """Send ``count`` bytes of the body and reset the connection."""

    def behaviour(exchange: Exchange) -> None:
        exchange.sock.sendall(_head_of_range(exchange)[:count])
        # A reset discards what the client's system has not received.
        wait_until(lambda: _count_unacknowledged(exchange.sock) == 0)
        exchange.reset()

    return behaviour


def send_slowly(piece: int, pause_seconds: float) -> Behavior:
    """Send the right body slowly."""

    def behaviour(exchange: Exchange) -> None:
        body = _head_of_range(exchange)
        for at in range(0, len(body), piece):
            exchange.sock.sendall(body[at : at + piece])
            pause(pause_seconds)

    return behaviour


def ignore_range(exchange: Exchange) -> None:
    """Respond to a range request with the whole object."""
    exchange.headers.pop("range", None)
    serve_correctly(exchange)


def truncate_whole_after(count: int) -> Behavior:
    """Respond to a range request with the whole object, and close after ``count`` bytes."""

    def behaviour(exchange: Exchange) -> None:
        exchange.headers.pop("range", None)
        truncate_after(count)(exchange)

    return behaviour


def send_another_range(exchange: Exchange) -> None:
    """Declare and send the range that starts one byte later."""
    start, end = exchange.range or (0, 0)
    content = exchange.server.objects[exchange.path]
    exchange.respond(206, content[start + 1 : end + 1], Content_Range=f"bytes {start + 1}-{end}/{len(content)}")


def declare_another_size(exchange: Exchange) -> None:
    """Send the right range of an object that is one byte longer."""
    start, end = exchange.range or (0, 0)
    content = exchange.server.objects[exchange.path]
    exchange.sock.sendall(_head_of_range(exchange, Content_Range=f"bytes {start}-{end - 1}/{len(content) + 1}"))


def declare_gzip_encoding(exchange: Exchange) -> None:
    """Declare the body as gzip-encoded."""
    exchange.sock.sendall(_head_of_range(exchange, Content_Encoding="gzip"))


def declare_and_send_extra_byte(exchange: Exchange) -> None:
    """Declare and send one byte more than the range has."""
    start, end = exchange.range or (0, len(exchange.server.objects[exchange.path]))
    exchange.sock.sendall(_head_of_range(exchange, Content_Length=end - start + 1) + b"x")


def send_more_than_declared(exchange: Exchange) -> None:
    """Send extra data after the body, where the next response should begin."""
    exchange.sock.sendall(_head_of_range(exchange) + b"HTTP/1.1 200 Surprise\r\n\r\n")


def send_chunked(exchange: Exchange, *, extra: bytes = b"") -> None:
    """Send the body in chunks, without a length."""
    content = exchange.server.objects[exchange.path]
    start, end = exchange.range or (0, len(content))
    headers = {"Content_Range": f"bytes {start}-{end - 1}/{len(content)}"} if exchange.range else {}
    exchange.send_head(206 if exchange.range else 200, Transfer_Encoding="chunked", **headers)
    body = content[start:end] + extra
    for at in range(0, len(body), 50_000):
        piece = body[at : at + 50_000]
        exchange.sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    exchange.sock.sendall(b"0\r\n\r\n")


def send_extra_byte_chunked(exchange: Exchange) -> None:
    """Send one byte more than requested, chunked, so that no declared length shows it."""
    send_chunked(exchange, extra=b"x")


def flip_bit(exchange: Exchange) -> None:
    """Serve the range with one bit flipped."""
    serve_object(exchange, flip=True)


def replace_object(content: bytes) -> Behavior:
    """Replace the object by other content, then serve it."""

    def behaviour(exchange: Exchange) -> None:
        exchange.server.put(exchange.path, content)
        serve_correctly(exchange)

    return behaviour


def change_etag_and_ignore_if_range(exchange: Exchange) -> None:
    """Serve the requested range under another ETag."""
    exchange.sock.sendall(_head_of_range(exchange, ETag='"another"'))


def respond_without_http(exchange: Exchange) -> None:
    """Respond with another protocol."""
    exchange.sock.sendall(b"220 mail.example ESMTP\r\n")
    exchange.close_connection()


def stop_reading_after(count: int) -> Behavior:
    """Read ``count`` bytes of a body, then stop reading without closing."""

    def behaviour(exchange: Exchange) -> None:
        exchange.read(count)
        wait_until(lambda: not _is_open(exchange.sock))
        exchange.close_connection()

    return behaviour


def _count_unacknowledged(sock: socket.socket) -> int:
    """Return how many sent bytes the peer has not acknowledged (Linux)."""
    return int(struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0])


def _is_open(sock: socket.socket) -> bool:
    """Return whether the client still has the connection open, without reading."""
    state = struct.unpack("B", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))[0]
    return int(state) == 1  # TCP_ESTABLISHED


def reset_after_reading(count: int) -> Behavior:
    """Read ``count`` bytes of a body and reset the connection."""

    def behaviour(exchange: Exchange) -> None:
        exchange.read(count)
        exchange.reset()

    return behaviour


def lose_response(exchange: Exchange) -> None:
    """Store the body, and close the connection instead of responding."""
    exchange.server.put(exchange.path, exchange.read_body())
    exchange.close_connection()
