package agentregistry

// Known task types. The registry takes other types too.
const (
	TaskCodeEditing   = "code-editing"
	TaskResearch      = "research"
	TaskCodeReview    = "code-review"
	TaskDocumentation = "documentation"
	TaskTesting       = "testing"
	TaskDebugging     = "debugging"
	TaskRefactoring   = "refactoring"
	TaskAPIDesign     = "api-design"
)

// Known languages. The registry takes other languages too.
const (
	LanguageTypeScript = "TypeScript"
	LanguageJavaScript = "JavaScript"
	LanguagePython     = "Python"
	LanguageRust       = "Rust"
	LanguageGo         = "Go"
	LanguageJava       = "Java"
	LanguageCPP        = "C++"
	LanguageCSharp     = "C#"
)

// Known specializations. The registry takes other specializations too.
const (
	SpecializationAST         = "AST analysis"
	SpecializationAPIDesign   = "API design"
	SpecializationPerformance = "Performance optimization"
	SpecializationSecurity    = "Security audit"
	SpecializationDatabase    = "Database design"
	SpecializationFrontend    = "Frontend architecture"
	SpecializationBackend     = "Backend architecture"
	SpecializationDevOps      = "DevOps"
)

// Known model families. The registry takes other families too.
const (
	ModelGPT4      = "gpt-4"
	ModelClaude3   = "claude-3"
	ModelClaude35  = "claude-3.5"
	ModelGeminiPro = "gemini-pro"
	ModelLlama3    = "llama-3"
	ModelMixtral   = "mixtral"
)
