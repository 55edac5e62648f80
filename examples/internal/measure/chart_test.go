package measure

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var sheet = Chart{
	Title: `"One" & <many>`, Note: "5 rounds", Old: "15 pools", Ours: "one pool",
	Panels: []Panel{
		{"throughput, op/s", []Group{{"64", 1000, 2000}, {"128", 500, 4000}}},
		{"memory, MiB", []Group{{"64", math.NaN(), math.NaN()}}},
		{"p99, ms", []Group{{"64", 0, 0}}},
	},
}

// elements reads the sheet as XML and returns the elements with their attributes
// and the text of the text elements.
func elements(t *testing.T, c Chart) (all []xml.StartElement, texts []string) {
	t.Helper()
	var b strings.Builder
	require.NoError(t, c.WriteSVG(&b))
	d := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all, texts
		}
		require.NoError(t, err, b.String())
		switch e := token.(type) {
		case xml.StartElement:
			all = append(all, e.Copy())
		case xml.CharData:
			if s := strings.TrimSpace(string(e)); s != "" {
				texts = append(texts, s)
			}
		}
	}
}

func attribute(t *testing.T, e xml.StartElement, name string) float64 {
	t.Helper()
	for _, a := range e.Attr {
		if a.Name.Local == name {
			v, err := strconv.ParseFloat(a.Value, 64)
			require.NoError(t, err)
			return v
		}
	}
	require.Fail(t, "no "+name)
	return 0
}

func TestTheSheetIsWellFormed(t *testing.T) {
	t.Parallel()
	all, texts := elements(t, sheet)
	require.Equal(t, "svg", all[0].Name.Local)
	require.Equal(t, "http://www.w3.org/2000/svg", all[0].Name.Space)
	for _, want := range []string{`"One" & <many>`, "5 rounds", "15 pools", "one pool", "throughput, op/s", "128", "4000", "-", "0"} {
		require.Contains(t, texts, want)
	}
}

func TestBarsAreAsLongAsTheirValuesAndInsideTheSheet(t *testing.T) {
	t.Parallel()
	all, _ := elements(t, sheet)
	width, height := attribute(t, all[0], "width"), attribute(t, all[0], "height")
	var bars []float64
	for _, e := range all {
		if e.Name.Local != "rect" {
			continue
		}
		bars = append(bars, attribute(t, e, "width"))
		require.LessOrEqual(t, attribute(t, e, "x")+attribute(t, e, "width"), width)
		require.LessOrEqual(t, attribute(t, e, "y")+barHeight, height)
	}
	// Two bars of the legend, then the four bars of throughput; no bar for NaN and 0.
	require.Equal(t, []float64{barsWidth / 4, barsWidth / 2, barsWidth / 8, barsWidth}, roundAll(bars[2:]))
}

func roundAll(bars []float64) []float64 {
	for i, v := range bars {
		bars[i] = math.Trunc(v)
	}
	return bars
}

func TestTheSheetReadsOnWhiteAndOnBlack(t *testing.T) {
	t.Parallel()
	for colour, least := range map[string]float64{colourText: 4, colourOld: 3, colourOurs: 3} {
		for _, background := range []string{"#ffffff", "#0d1117"} {
			require.GreaterOrEqual(t, contrast(t, colour, background), least, "%s on %s", colour, background)
		}
	}
}

// contrast is WCAG's contrast ratio of two colours.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(colour string) (l float64) {
		rgb, err := strconv.ParseUint(colour[1:], 16, 32)
		require.NoError(t, err)
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			c := float64(rgb>>(16-8*i)&0xff) / 255
			if c <= 0.03928 {
				c /= 12.92
			} else {
				c = math.Pow((c+0.055)/1.055, 2.4)
			}
			l += weight * c
		}
		return l
	}
	light, dark := luminance(a), luminance(b)
	return (max(light, dark) + 0.05) / (min(light, dark) + 0.05)
}
