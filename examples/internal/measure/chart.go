package measure

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// Chart is a sheet of bar charts. Each bar chart compares Old with Ours.
type Chart struct {
	Title     string
	Note      string // a line below the title
	Old, Ours string // names of the two bars
	Panels    []Panel
}

// Panel is a bar chart of the sheet.
type Panel struct {
	Title  string // the measured figure, with the unit
	Groups []Group
}

// Group is a pair of bars. A value of NaN has no bar.
type Group struct {
	Label     string // a dozen letters at most
	Old, Ours float64
}

// The sheet has no background: the colours stand out from white and from black alike.
const (
	colourText = "#767676"
	colourOld  = "#8b949e"
	colourOurs = "#2f81f7"
)

// Lengths, in the sheet's unit.
const (
	sheetWidth  = 860
	columns     = 2
	columnWidth = sheetWidth / columns
	labelWidth  = 96
	barsWidth   = 260 // the longest bar; the value stands behind the bar
	barHeight   = 11
	groupHeight = 2*barHeight + 11
	panelHead   = 30
	panelFoot   = 16
	sheetHead   = 84
)

// WriteSVG writes the sheet as SVG. The sheet uses the reader's own font, and needs no style sheet
// and no script.
func (c Chart) WriteSVG(w io.Writer) error {
	var b strings.Builder
	text := func(x, y float64, size int, anchor, weight, s string) {
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" font-size="%d" text-anchor="%s" font-weight="%s">%s</text>`+"\n", x, y, size, anchor, weight, escape(s))
	}
	bar := func(x, y, width float64, colour string) {
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" rx="2" fill="%s"/>`+"\n", x, y, width, barHeight, colour)
	}
	height := sheetHead
	for i := 0; i < len(c.Panels); i += columns {
		height += c.rowHeight(i)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="system-ui, sans-serif" fill="%s">`+"\n",
		sheetWidth, height, sheetWidth, height, colourText)
	fmt.Fprintf(&b, "<title>%s</title>\n", escape(c.Title))
	text(8, 24, 17, "start", "bold", c.Title)
	text(8, 44, 12, "start", "normal", c.Note)
	bar(8, 58, 22, colourOld)
	text(36, 68, 12, "start", "normal", c.Old)
	bar(columnWidth/2, 58, 22, colourOurs)
	text(columnWidth/2+28, 68, 12, "start", "normal", c.Ours)

	y := float64(sheetHead)
	for i, p := range c.Panels {
		x := float64(i % columns * columnWidth)
		text(x+8, y+18, 13, "start", "bold", p.Title)
		longest := p.longest()
		for g, group := range p.Groups {
			top := y + panelHead + float64(g*groupHeight)
			text(x+labelWidth-8, top+barHeight+4, 12, "end", "normal", group.Label)
			for n, v := range []float64{group.Old, group.Ours} {
				at := top + float64(n*(barHeight+1))
				width := 0.0
				if !math.IsNaN(v) && longest > 0 {
					width = max(v/longest*barsWidth, 1)
					bar(x+labelWidth, at, width, []string{colourOld, colourOurs}[n])
				}
				text(x+labelWidth+width+5, at+barHeight-1, 11, "start", "normal", Number(v))
			}
		}
		if i%columns == columns-1 {
			y += float64(c.rowHeight(i - columns + 1))
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// rowHeight returns the height of the row that begins with the panel first.
func (c Chart) rowHeight(first int) int {
	groups := 0
	for _, p := range c.Panels[first:min(first+columns, len(c.Panels))] {
		groups = max(groups, len(p.Groups))
	}
	return panelHead + groups*groupHeight + panelFoot
}

func (p Panel) longest() float64 {
	longest := 0.0
	for _, g := range p.Groups {
		for _, v := range []float64{g.Old, g.Ours} {
			if v > longest { // false for NaN
				longest = v
			}
		}
	}
	return longest
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
