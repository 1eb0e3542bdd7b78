"""adb's bytes: packets however they are cut, headers, and listings as real adb servers print them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.devices.transports.adb_wire import (
    PacketId,
    ProtocolError,
    ShellDecoder,
    parse_devices,
    parse_stat,
    parse_sync_header,
    request,
    shell_packet,
    sync_header,
    sync_request,
)
from edgeflow.errors import DeviceError

FROM_DEVICE = st.tuples(st.sampled_from([PacketId.stdout, PacketId.stderr]), st.binary(max_size=300))

LISTING = """\
28161FDH2000AB         device usb:1-4 product:panther model:Pixel_7 device:panther transport_id:3
emulator-5554          offline transport_id:1
10.0.0.7:5555          unauthorized transport_id:9
R58M123ABC             recovery usb:1-2 product:a51 model:SM_A515F device:a51 transport_id:4
????????????           no permissions (missing udev rules? user is in the plugdev group); \
see [http://developer.android.com/tools/device.html] usb:1-3 transport_id:2
(no serial number)     device usb:1-1 product:x model:X device:x transport_id:8
"""


class TestShellPackets:
    @given(st.lists(FROM_DEVICE, max_size=8), st.integers(0, 255), st.lists(st.integers(1, 40), max_size=40))
    def test_packets_survive_any_cut(
        self, packets: list[tuple[PacketId, bytes]], code: int, cuts: list[int]
    ) -> None:
        sent = [*packets, (PacketId.exit, bytes([code]))]
        stream = b"".join(shell_packet(kind, body) for kind, body in sent)
        decoder, received, start = ShellDecoder(), [], 0
        for length in [*cuts, len(stream)]:
            received += list(decoder.feed(stream[start : start + length]))
            start += length
        assert received == sent

    def test_the_bytes_of_a_packet(self) -> None:
        assert shell_packet(PacketId.stdin, b"hi") == b"\x00\x02\x00\x00\x00hi"
        assert shell_packet(PacketId.close_stdin) == b"\x04\x00\x00\x00\x00"

    @pytest.mark.parametrize(
        "stream",
        [
            b"\x09\x00\x00\x00\x00",
            b"\x01\xff\xff\xff\x7f",
            b"\x00\x01\x00\x00\x00x",
            b"\x03\x02\x00\x00\x00ab",
        ],
    )
    def test_a_stream_that_is_none_is_refused(self, stream: bytes) -> None:
        with pytest.raises(ProtocolError):
            list(ShellDecoder().feed(stream))


class TestRequestsAndSync:
    def test_a_request_counts_bytes_not_letters(self) -> None:
        assert request("host:version") == b"000chost:version"
        assert request("shell:ä") == b"0008shell:\xc3\xa4"
        with pytest.raises(DeviceError, match="too long"):
            request("x" * 70_000)

    def test_sync_headers(self) -> None:
        assert sync_request(b"RECV", "/a") == b"RECV\x02\x00\x00\x00/a"
        assert parse_sync_header(sync_header(b"DATA", 65536)) == (b"DATA", 65536)
        with pytest.raises(ProtocolError, match="chunk"):
            parse_sync_header(sync_header(b"DATA", 65537))
        with pytest.raises(DeviceError, match="too long"):
            sync_request(b"RECV", "/" + "x" * 1024)

    def test_stat_of_a_file_larger_than_four_gib(self) -> None:
        fields = (b"STA2", 0, 1, 2, 0o100644, 1, 2000, 2000, 5 << 30, 0, 0, 0)
        found = parse_stat(struct.pack("<4sIQQIIIIQqqq", *fields))
        assert (found.errno, found.mode, found.size_bytes) == (0, 0o100644, 5 << 30)
        with pytest.raises(ProtocolError):
            parse_stat(struct.pack("<4sIQQIIIIQqqq", b"FAIL", *fields[1:]))


class TestListing:
    def test_every_state_of_a_real_listing(self) -> None:
        found = parse_devices(LISTING)
        assert [(device.serial, device.state) for device in found] == [
            ("28161FDH2000AB", "device"),
            ("emulator-5554", "offline"),
            ("10.0.0.7:5555", "unauthorized"),
            ("R58M123ABC", "recovery"),
            ("????????????", "no permissions"),
            ("(no serial number)", "device"),
        ]
        assert found[0].model == "Pixel 7"
        assert "udev" in found[4].note

    def test_no_devices_and_a_line_that_is_none(self) -> None:
        assert parse_devices("") == []
        assert parse_devices("\n") == []
        with pytest.raises(ProtocolError, match="unknown line"):
            parse_devices("justoneword\n")
