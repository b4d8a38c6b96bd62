package devices

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseBytes(t *testing.T) {
	for _, text := range []string{
		"", "-1", "+1", "1.5MiB", "1 MiB", "1MB", "1mib", "0x", "0xg", "0x10K", "010", "KiB", "1_000", "0b1", "18446744073709551616", "16777216TiB",
	} {
		_, err := ParseBytes(text)
		require.ErrorIs(t, err, ErrQuantity, text)
	}
	for text, want := range map[string]Bytes{
		"0": 0, "1": 1, "4096": 4096, "0x1000": 4096, "64KiB": 64 << 10, "64K": 64 << 10, "256MiB": 256 << 20, "2M": 2 << 20,
		"3GiB": 3 << 30, "3G": 3 << 30, "1TiB": 1 << 40, "1T": 1 << 40, "18446744073709551615": 1<<64 - 1, "0xffffffffffffffff": 1<<64 - 1,
	} {
		got, err := ParseBytes(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
}

func TestBytesAreWrittenAsTheyAreRead(t *testing.T) {
	for _, n := range []Bytes{0, 1, 1023, 1024, 1025, 3 << 20, 1 << 40, 1<<64 - 1} {
		got, err := ParseBytes(n.String())
		require.NoError(t, err)
		assert.Equal(t, n, got)
		got, err = ParseBytes(Address(n).String())
		require.NoError(t, err)
		assert.Equal(t, n, got)
	}
	assert.Equal(t, "256MiB", Bytes(256<<20).String())
	assert.Equal(t, "0x40000000", Address(0x40000000).String())
}

func TestOffsetsMayBeNegative(t *testing.T) {
	for text, want := range map[string]Offset{"0": 0, "0x40000000": 1 << 30, "-0xc0000000": -3 << 30, "1GiB": 1 << 30, "-4K": -4096, "-0": 0} {
		got, err := ParseOffset(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
		again, err := ParseOffset(got.String())
		require.NoError(t, err, text)
		assert.Equal(t, want, again, text)
	}
	for _, text := range []string{"", "-", "--1", "+1", "x", "0x8000000000000000", "-8388608TiB"} {
		_, err := ParseOffset(text)
		assert.ErrorIs(t, err, ErrQuantity, text)
	}
}
