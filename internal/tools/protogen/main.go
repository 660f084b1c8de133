// Command protogen generates the Go code of the protocol: protoc's work
// without protoc, so that a machine with nothing but Go can do it.
//
//	protogen -bin DIR -root DIR FILE.proto…
//
// DIR of -bin has protoc-gen-go and protoc-gen-go-grpc; the generated files
// are written beside each FILE, which is relative to -root.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	bin := flag.String("bin", "", "directory of the protoc plugins")
	root := flag.String("root", ".", "directory that FILE and its imports are relative to")
	out := flag.String("out", "", "directory to write to, -root if empty")
	flag.Parse()
	if *out == "" {
		*out = *root
	}
	for _, plugin := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		for _, file := range flag.Args() {
			if err := generate(filepath.Join(*bin, plugin), *root, *out, file); err != nil {
				fmt.Fprintln(os.Stderr, "protogen:", err)
				os.Exit(1)
			}
		}
	}
}

// generate runs one protoc plugin over a file
// (https://protobuf.dev/reference/other/#plugins).
func generate(plugin, root, out, file string) error {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(context.Background(), file)
	if err != nil {
		return err
	}
	parameter := "paths=source_relative"
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: []string{file}, Parameter: &parameter}
	for _, f := range compiled {
		request.ProtoFile = append(request.ProtoFile, withImports(f, map[string]bool{})...)
	}
	text, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	cmd := exec.Command(plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", plugin, err)
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(answer, &response); err != nil {
		return err
	}
	if response.Error != nil {
		return fmt.Errorf("%s: %s", plugin, response.GetError())
	}
	for _, f := range response.File {
		path := filepath.Join(out, f.GetName())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// withImports lists a file after all that it imports, as plugins want them.
func withImports(f protoreflect.FileDescriptor, seen map[string]bool) []*descriptorpb.FileDescriptorProto {
	if seen[f.Path()] {
		return nil
	}
	seen[f.Path()] = true
	var files []*descriptorpb.FileDescriptorProto
	imports := f.Imports()
	for i := range imports.Len() {
		files = append(files, withImports(imports.Get(i).FileDescriptor, seen)...)
	}
	return append(files, protoutil.ProtoFromFileDescriptor(f))
}
