package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

func (a *app) pluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "plugin", Short: "Look at and examine engine plugins", Args: unknownVerb,
		Example: "  atom-router plugin describe docker\n  atom-router plugin test ./bin/atom-plugin-process",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.describeCommand(), a.testCommand(), a.probeCommand())
	return cmd
}

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME-OR-PATH",
		Short: "Show what a plugin is, can do, and may be configured with",
		Long:  "Launch a plugin, given by its name in configs or by the path of its binary, and show what it tells of itself.",
		Example: `  atom-router plugin describe docker
  atom-router plugin describe ./bin/atom-plugin-docker -o json`,
		Args:        exactly(1, "NAME-OR-PATH"),
		Annotations: map[string]string{formsKey: "table, json"},
		RunE: func(cmd *cobra.Command, args []string) error {
			command, err := a.findPlugin(args[0])
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			p, err := plugin.Launch(ctx, plugin.LaunchOptions{Name: args[0], Path: command[0], Args: command[1:]})
			if err != nil {
				return err
			}
			defer p.Close()
			return a.printDescription(p.Description())
		},
	}
}

// findPlugin is the command line of a plugin: a path is one, a name is looked
// for where a router with this config would.
func (a *app) findPlugin(nameOrPath string) ([]string, error) {
	if strings.ContainsRune(nameOrPath, '/') {
		return []string{nameOrPath}, nil
	}
	builtin, err := embedded()
	if err != nil {
		return nil, err
	}
	var dirs []string
	// Without a config there is no plugin_dir, which is no mistake here.
	if path, err := config.Find(a.configPath); err == nil {
		file, err := a.readFile(path)
		if err != nil {
			return nil, err
		}
		dirs = file.Config.PluginDirs
	}
	return router.FindPlugin(nameOrPath, dirs, builtin)
}

// printDescription prints what a plugin tells of itself; its JSON is a stable
// contract, documented in docs/command-line.md.
func (a *app) printDescription(d plugin.Description) error {
	if a.output == outputJSON {
		// None is an empty list.
		d.Capabilities, d.Env = append(atom.Capabilities{}, d.Capabilities...), append([]string{}, d.Env...)
		return a.printJSON(d)
	}
	names := make([]string, len(d.Capabilities))
	for i, c := range d.Capabilities {
		names[i] = string(c)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, protocol %s\n", d.Name, cmp.Or(d.Version, "of no version"), d.Protocol)
	fmt.Fprintf(&b, "Can do at most: %s\n", cmp.Or(strings.Join(names, ", "), "what every engine does"))
	if len(d.Env) > 0 {
		fmt.Fprintf(&b, "Takes from the environment: %s\n", strings.Join(d.Env, ", "))
	}
	settings := len(d.Schema.Attributes)+len(d.Schema.Blocks) > 0
	if settings {
		b.WriteString("\nSettings:\n")
	} else {
		b.WriteString("\nIt has no settings.\n")
	}
	if _, err := io.WriteString(a.stdout, harmless(b.String())); err != nil || !settings {
		return err
	}
	return a.table("NAME\tTYPE\tDEFAULT\tWHAT", func(w io.Writer) { printSchema(w, "", d.Schema) })
}

func printSchema(w io.Writer, prefix string, s plugin.Schema) {
	for _, attr := range s.Attributes {
		def := attr.Default
		if attr.Required {
			def = "required"
		}
		doc := attr.Doc
		if attr.Sensitive {
			doc = strings.TrimSpace(doc + " (never printed)")
		}
		row(w, prefix+attr.Name, typeText(attr.Type), def, doc)
	}
	for _, b := range s.Blocks {
		name := prefix + b.Type
		for _, l := range b.Labels {
			name += fmt.Sprintf(" %q", cmp.Or(l, "…"))
		}
		kind := "block"
		if b.Repeated {
			kind = "blocks"
		}
		def := ""
		if b.Required {
			def = "required"
		}
		row(w, name+" {}", kind, def, b.Doc)
		printSchema(w, prefix+b.Type+".", b.Schema)
	}
}

// typeText is a cty type as people write it: list(string), object({n=number}).
func typeText(raw json.RawMessage) string {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		return name
	}
	var pair [2]json.RawMessage
	if json.Unmarshal(raw, &pair) != nil {
		return string(raw)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(pair[1], &object) == nil {
		fields := make([]string, 0, len(object))
		for _, name := range slices.Sorted(maps.Keys(object)) {
			fields = append(fields, name+"="+typeText(object[name]))
		}
		return fmt.Sprintf("%s({%s})", typeText(pair[0]), strings.Join(fields, ", "))
	}
	return fmt.Sprintf("%s(%s)", typeText(pair[0]), typeText(pair[1]))
}
