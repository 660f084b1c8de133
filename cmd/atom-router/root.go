package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

// app is one invocation: where its output goes, and the flags that every verb
// has.
type app struct {
	stdout, stderr io.Writer

	configPath string
	address    string
	tls        router.ClientTLS
	output     string
	logLevel   string
	// allowAttach lets backends be attached to plugins started by hand.
	allowAttach bool

	tracer *tracing.Tracer // nil where nothing is traced
	exited func(code int)  // ends the verb's span; may be nil
}

// execute runs the command line and returns its exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	// A reader of our output that goes away is an error of writing, so that
	// plugins are ended and `run` says what it leaves behind.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(context.Background())
	code := codeOK
	if err != nil {
		code = codeOf(cmd, err)
	}
	a.traced(code)
	if err != nil && code != codePipe {
		a.printError(err)
	}
	return code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "atom-router",
		Short: "Run jobs on the container engine that your rules choose",
		Long: `Run jobs on the container engine that your rules choose, and find them again
by their IDs.`,
		Example: `  atom-router run alpine -- echo hello          run a job; exits with its code
  atom-router explain --gpus 1 nvidia/cuda:12   where would it go, and why
  atom-router list                              what runs and what ran
  atom-router validate                          is the config right`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownVerb,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVarP(&a.configPath, "config", "c", "", "config `FILE` ($"+config.PathVariable+", ./atom-router.hcl, …; see help config)")
	a.addressFlags(flags)
	flags.StringVarP(&a.output, "output", "o", outputTable, "output `FORM`: table, json or id")
	flags.StringVar(&a.logLevel, "log-level", "warn", "what of the router's and plugins' log goes to stderr, by `LEVEL`: trace, debug, info, warn, error or off")
	flags.BoolVar(&a.allowAttach, "allow-attach", false, "let backends be attached to plugins that you debug (attach in their blocks)")
	a.complete(root, "output", outputTable, outputJSON, outputID)
	a.complete(root, "log-level", "trace", "debug", "info", "warn", "error", "off")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.checkFlags(cmd); err != nil {
			return err
		}
		a.trace(cmd)
		return nil
	}
	root.AddCommand(
		a.runCommand(), a.createCommand(), a.getCommand(), a.listCommand(), a.logsCommand(), a.waitCommand(),
		a.stopCommand(), a.deleteCommand(), a.explainCommand(), a.validateCommand(), a.backendsCommand(), a.topCommand(),
		a.serveCommand(), a.reloadCommand(), a.healthCommand(), a.pluginCommand(), a.versionCommand(), a.completionCommand(), embeddedCommand(),
	)
	root.AddCommand(topics()...)
	withoutFiles(root)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(cmd.OutOrStdout(), cmd) })
	root.SetHelpCommand(helpCommand())
	return root
}

// formsKey annotates a verb that has forms of output of its own.
const formsKey = "forms"

// checkFlags refuses values of the global flags that mean nothing.
func (a *app) checkFlags(cmd *cobra.Command) error {
	forms := cmp.Or(cmd.Annotations[formsKey], "table, json, id")
	if !slices.Contains(strings.Split(forms, ", "), a.output) {
		return usage(fmt.Errorf("--output %q is none of %s", a.output, forms))
	}
	if _, far := a.endpoint(); !far && cmd.Name() != "serve" {
		for _, name := range []string{"tls-cert", "tls-key", "tls-ca", "tls-server-name"} {
			if cmd.Flags().Changed(name) {
				return usage(fmt.Errorf("--%s is for those who ask a daemon; name it by --address", name))
			}
		}
	}
	if hclog.LevelFromString(a.logLevel) == hclog.NoLevel {
		return usage(fmt.Errorf("--log-level %q is none of trace, debug, info, warn, error, off", a.logLevel))
	}
	return nil
}

// complete offers a flag's values to the shell.
func (a *app) complete(cmd *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that does not exist.
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}

// read reads the config and prints its warnings.
func (a *app) read() (*config.File, error) {
	path, err := config.Find(a.configPath)
	if err != nil {
		return nil, err
	}
	return a.readFile(path)
}

func (a *app) readFile(path string) (*config.File, error) {
	file, diags := a.readAll(path)
	if len(diags.Errors()) > 0 {
		return file, diags
	}
	a.printDiagnostics(diags)
	return file, nil
}

// readAll reads a config and says all that is to be said about it.
func (a *app) readAll(path string) (*config.File, config.Diagnostics) {
	file, diags := config.Read(path)
	if !a.allowAttach {
		diags = append(diags, file.CheckAttach()...)
	}
	return file, diags
}

// withRouterOf calls do with a router for a config, and ends it afterwards.
func (a *app) withRouterOf(ctx context.Context, file *config.File, do func(*router.Engine) error) error {
	builtin, err := embedded()
	if err != nil {
		return err
	}
	r, err := router.New(ctx, file.Config, router.Options{
		Logger:      a.logger(),
		Builtin:     builtin,
		Observer:    a.observer(),
		DialOptions: a.tracer.DialOptions(),
		// A command that ends after one call cleans up nothing but its own.
		NoJanitor:   true,
		AllowAttach: a.allowAttach,
	})
	if err != nil {
		return err
	}
	return errors.Join(do(r), r.Close())
}

// logger is the router's and its plugins' log. Of what the router itself
// warns of, the verbs tell too, in their errors and diagnostics; those who ask
// for more than warnings see it in its order.
func (a *app) logger() hclog.Logger {
	level := hclog.LevelFromString(a.logLevel)
	return hclog.New(&hclog.LoggerOptions{
		Name: "atom-router", Level: level, Output: a.stderr, Color: hclog.ColorOff,
		Exclude: func(_ hclog.Level, msg string, _ ...any) bool {
			return level >= hclog.Warn && (msg == "router config" || strings.HasPrefix(msg, "backend is "))
		},
	})
}

// printError prints an error once, or a config's mistakes with their places.
func (a *app) printError(err error) {
	var said *silent
	if errors.As(err, &said) {
		return
	}
	var diags config.Diagnostics
	if errors.As(err, &diags) {
		a.printDiagnostics(diags)
		return
	}
	fmt.Fprintf(a.stderr, "Error: %s\n", harmless(strings.TrimSpace(err.Error())))
	var unknown *atom.OutcomeUnknown
	if errors.As(err, &unknown) {
		fmt.Fprintf(a.stderr, "Whether the atom was made is not known. The same command with --key %s finds it or makes it.\n", unknown.Key)
	}
}

func (a *app) printDiagnostics(diags config.Diagnostics) {
	if len(diags) > 0 {
		// There is nowhere left to say that stderr cannot be written.
		_ = diags.WriteText(a.stderr, a.color())
	}
}

// color reports whether stderr is a terminal that wants colours
// (https://no-color.org).
func (a *app) color() bool {
	w := a.stderr
	if d, ok := w.(*display); ok {
		w = d.w
	}
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(f)
}
