package peers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/atom-router/atom-router/"

// seed is what package atom and its requests had from the beginning, as far as
// a scheduler needs it.
var seed = map[string][]string{
	"Atom": nil, "State": nil, "Result": nil, "Created": nil, "Running": nil, "Stopping": nil, "Stopped": nil, "Deleted": nil,
	"Engine":              nil,
	"EngineGetRequest":    {"ID"},
	"EngineListRequest":   {"Since", "Before"},
	"EngineCreateRequest": {"Name", "Image", "Command", "Spec"},
	"EngineWaitRequest":   {"ID", "Context"},
	"EngineStopRequest":   {"ID", "Force", "Timeout"},
	"EngineLogsRequest":   {"ID", "Since"},
	"Spec":                {"Env", "WorkDir", "Mounts"}, // of package container
}

// The scheduler knows nothing of a router, nor of anything else that came
// after the engine's interface.
func TestOnlyTheSeed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "scheduler.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		if strings.Contains(path, ".") && path != module+"atom" && path != module+"atom/container" {
			t.Errorf("it imports %s", path)
		}
	}
	used := 0
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if p, ok := n.X.(*ast.Ident); ok && (p.Name == "atom" || p.Name == "container") {
				used++
				if _, ok := seed[n.Sel.Name]; !ok {
					t.Errorf("it uses %s.%s", p.Name, n.Sel.Name)
				}
			}
		case *ast.CompositeLit:
			of, ok := n.Type.(*ast.SelectorExpr)
			if !ok {
				break
			}
			for _, e := range n.Elts {
				field, ok := e.(*ast.KeyValueExpr)
				if !ok || !slices.Contains(seed[of.Sel.Name], field.Key.(*ast.Ident).Name) {
					t.Errorf("it sets another field of %s than %q", of.Sel.Name, seed[of.Sel.Name])
				}
			}
		}
		return true
	})
	if used == 0 {
		t.Error("it uses nothing of package atom")
	}
}
