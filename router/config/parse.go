package config

import (
	"bytes"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/atom-router/atom-router/router"
)

const (
	// maxBytes bounds a config. Far smaller ones route whole fleets.
	maxBytes = 1 << 20
	// maxDepth and maxOperators bound how deep expressions nest: a stack that
	// overflows cannot be caught.
	maxDepth     = 100
	maxOperators = 500
)

// parse returns the body of the file, or nil where it is no HCL.
func (d *decoder) parse() *hclsyntax.Body {
	s := d.source
	if i := firstNonText(s.text); i >= 0 {
		at := position(s.text, i)
		d.fail(hcl.Range{Filename: s.name, Start: at, End: at}, "this is not a text file",
			fmt.Sprintf("Byte %d is %#02x, which no UTF-8 text has there.", i, s.text[i]))
		return nil
	}
	if len(bytes.TrimSpace(bytes.TrimPrefix(s.text, []byte("\ufeff")))) == 0 {
		d.fail(s.start(), "the config is empty", "A first one:\n  backend \"local\" { plugin = \"process\" }\n  default { backend = \"local\" }")
		return nil
	}
	if !d.shallow() {
		return nil
	}
	file, diags := hclsyntax.ParseConfig(s.text, s.name, hcl.InitialPos)
	if diags.HasErrors() {
		// Without a tree and a schema there are only names to go by.
		d.source = s.hiding(likelySecrets(s.text))
		for _, diag := range diags {
			if diag.Summary == "Invalid multi-line string" && diag.Subject != nil {
				// What follows is read as part of the text: one mistake, and
				// many reports of it.
				d.fail(*diag.Subject, "a text is not closed", "It ends with a quote (\") in the line it begins in. Write \\n for a line break.")
				return nil
			}
			d.hcl(diag)
		}
		if bytes.HasPrefix(bytes.TrimSpace(s.text), []byte("{")) {
			d.diags[0].Detail = "A config is HCL, and this looks like JSON."
		}
		return nil
	}
	return file.Body.(*hclsyntax.Body)
}

// firstNonText is where text stops being one: a NUL or what is no UTF-8.
func firstNonText(text []byte) int {
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRune(text[i:])
		if c == 0 || c == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func position(text []byte, i int) hcl.Pos {
	line := 1 + bytes.Count(text[:i], []byte{'\n'})
	begin := bytes.LastIndexByte(text[:i], '\n') + 1
	return hcl.Pos{Line: line, Column: 1 + utf8.RuneCount(text[begin:i]), Byte: i}
}

// shallow refuses texts that would exhaust the stack of HCL's parser or
// evaluation, which recurse into brackets and along chains of operators.
func (d *decoder) shallow() bool {
	// What is wrong with the tokens, the parser tells with more context.
	tokens, _ := hclsyntax.LexConfig(d.source.text, d.source.name, hcl.InitialPos)
	type level struct {
		lines     bool // a line break ends what is in it
		operators int
	}
	levels := []level{{lines: true}}
	for _, t := range tokens {
		top := &levels[len(levels)-1]
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			top.operators++ // one step of a chain such as a[0][0]
			levels = append(levels, level{lines: t.Type == hclsyntax.TokenOBrace})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			if len(levels) > 1 {
				levels = levels[:len(levels)-1]
			}
		case hclsyntax.TokenComma:
			top.operators = 0
		case hclsyntax.TokenNewline:
			if top.lines {
				top.operators = 0
			}
		case hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenOQuote, hclsyntax.TokenCQuote,
			hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenComment:
		default:
			top.operators++
		}
		if len(levels) > maxDepth || top.operators > maxOperators {
			d.fail(t.Range, "this is nested too deeply", fmt.Sprintf("Brackets nest at most %d deep, and an expression has at most %d operators.", maxDepth, maxOperators))
			return false
		}
	}
	return true
}

// likelySecrets are the values of attributes whose names sound like it.
func likelySecrets(text []byte) []hcl.Range {
	sounds := regexp.MustCompile(`(?im)^[^\n#=]*(?:password|passwd|secret|token|credential|private_key|auth)[a-z0-9_]*[ \t]*=[ \t]*([^\r\n]+)`)
	var list []hcl.Range
	for _, m := range sounds.FindAllSubmatchIndex(text, -1) {
		list = append(list, hcl.Range{Start: hcl.Pos{Byte: m[2]}, End: hcl.Pos{Byte: m[3]}})
	}
	return list
}

// hcl adds what HCL itself found wrong.
func (d *decoder) hcl(diag *hcl.Diagnostic) {
	r := d.source.start()
	if diag.Subject != nil {
		r = *diag.Subject
	}
	severity := router.SeverityError
	if diag.Severity == hcl.DiagWarning {
		severity = router.SeverityWarning
	}
	d.add(severity, r, lower(diag.Summary), diag.Detail)
}
