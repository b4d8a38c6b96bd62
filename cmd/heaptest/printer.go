package main

import (
	"encoding/json"
	"fmt"

	"github.com/heapfs/heapfs/cmd/heaptest/judge"
)

// printer writes a run, for people or for programs.
type printer struct {
	o      options
	count  map[judge.Word]int
	encode *json.Encoder
}

func (p *printer) header(h judge.Header) {
	if p.o.json || p.o.record {
		p.write(h)
	}
}

func (p *printer) write(v any) {
	// A full disk shows in the summary's absence; there is nothing better to do here.
	_ = p.encode.Encode(v)
}

func (p *printer) line(l judge.Line) {
	p.count[l.Verdict]++
	switch {
	case p.o.record:
		if l.Verdict != judge.NotTried {
			p.write(judge.Line{Row: l.Row, Answer: l.Answer})
		}
	case p.o.json:
		p.write(l)
	case l.Verdict == judge.Fail:
		fmt.Printf("%-9s %s: %s; got %q, a kernel %q\n", l.Verdict, l.Row, l.Reason, l.Answer, l.Expected)
	case p.o.verbose && l.Verdict == judge.Deviates:
		fmt.Printf("%-9s %s: %s: got %q, a kernel %q\n", l.Verdict, l.Row, l.Deviation, l.Answer, l.Expected)
	case p.o.verbose && l.Verdict == judge.NotTried:
		fmt.Printf("%-9s %s: %s\n", l.Verdict, l.Row, l.Reason)
	case p.o.verbose:
		fmt.Printf("%-9s %s: %s\n", l.Verdict, l.Row, l.Answer)
	}
}

func (p *printer) summary(j *judge.Judge, h judge.Header) {
	if p.o.json || p.o.record {
		return
	}
	fmt.Printf("heaptest: as %s on Linux %s, expected by the record of %s: %d ok, %d deviate as listed, %d FAIL, %d not tried\n",
		h.As, h.Kernel, j.Record(), p.count[judge.OK], p.count[judge.Deviates], p.count[judge.Fail], p.count[judge.NotTried])
	fmt.Print("heaptest: deviations listed:")
	for _, e := range judge.Exports {
		fmt.Printf(" %s %d", e, judge.Count(judge.List(), e))
	}
	fmt.Println()
}
