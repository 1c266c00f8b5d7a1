#include "completion.h"

#include <fmt/format.h>

#include <cstdio>
#include <string_view>
#include <vector>

namespace weir::tool {
namespace {

/// What may follow an option, or stand as an argument.
enum class Values { none, any, choices, files, processes };

struct Argument {
  std::string name;  ///< without dashes
  std::string meaning;
  Values values = Values::any;
  std::string choices;  ///< with spaces between
};

struct Command {
  std::string name;
  std::string meaning;
  std::vector<Argument> options;
  std::vector<Argument> positionals;
};

constexpr std::string_view kProcesses = R"(weir ls --json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d: -f2)";

/// "TEXT:{a,b}" -> "a b".
std::string choices_of(const std::string& type) {
  const auto open = type.find('{');
  const auto close = type.find('}', open);
  if (close == std::string::npos) return {};
  std::string choices = type.substr(open + 1, close - open - 1);
  std::replace(choices.begin(), choices.end(), ',', ' ');
  return choices;
}

Values values_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return Values::none;
  const std::string type = option.get_type_name();
  if (!choices_of(type).empty()) return Values::choices;
  if (type.find("FILE") != std::string::npos) return Values::files;
  return option.get_name(true) == "PID" ? Values::processes : Values::any;
}

Argument argument_of(const CLI::Option& option, std::string name) {
  return {std::move(name), option.get_description(), values_of(option), choices_of(option.get_type_name())};
}

Command command_of(const CLI::App& app) {
  Command command{.name = app.get_name(), .meaning = app.get_description(), .options = {}, .positionals = {}};
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) command.options.push_back(argument_of(*option, name));
    if (option->get_positional()) command.positionals.push_back(argument_of(*option, option->get_name(true)));
  }
  return command;
}

std::vector<Command> commands_of(const CLI::App& app) {
  std::vector<Command> commands;
  for (const CLI::App* each : app.get_subcommands({})) commands.push_back(command_of(*each));
  return commands;
}

/// In single quotes, as bash, zsh and fish read them.
std::string in_quotes(std::string_view text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

std::string names_of(const Command& command) {
  std::string names;
  for (const Argument& option : command.options) names += "--" + option.name + " ";
  return names;
}

// Bash: one function; what may come next follows from the subcommand and the word before.

std::string bash_words(const Argument& argument) {
  if (argument.values == Values::processes) return fmt::format("$({})", kProcesses);
  return argument.choices;
}

std::string bash_reply(const Argument& argument) {
  if (argument.values != Values::files) return fmt::format("words=\"{}\"", bash_words(argument));
  return "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return";
}

std::string bash_script(const Command& app, const std::vector<Command>& commands) {
  std::string first = names_of(app);
  std::string cases;
  for (const Command& command : commands) {
    first += command.name + " ";
    for (const Argument& option : command.options) {
      if (option.values == Values::none) continue;
      cases += fmt::format("    '{} --{}') {} ;;\n", command.name, option.name, bash_reply(option));
    }
    std::string words = names_of(command);
    for (const Argument& argument : command.positionals) words += bash_words(argument) + " ";
    cases += fmt::format("    '{} '*) words=\"{}\" ;;\n", command.name, words);
  }
  return fmt::format(R"(_weir() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} words=
  local place="${{COMP_WORDS[1]}} ${{COMP_WORDS[COMP_CWORD - 1]}}"
  if ((COMP_CWORD == 1)); then place=; fi
  case $place in
    '') words="{}" ;;
{}  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -F _weir weir
)",
                     first, cases);
}

// Zsh: its own _arguments reads a specification of each option.

std::string zsh_action(const Argument& argument) {
  switch (argument.values) {
    case Values::choices:
      return "(" + argument.choices + ")";
    case Values::files:
      return "_files";
    case Values::processes:
      return "_weir_processes";
    default:
      return " ";
  }
}

std::string zsh_option(const Argument& option) {
  std::string meaning;
  for (const char c : option.meaning) meaning += c == '[' || c == ']' ? std::string{'\\', c} : std::string(1, c);
  const std::string values =
      option.values == Values::none ? "" : fmt::format(":{}:{}", option.name, zsh_action(option));
  return in_quotes(fmt::format("--{}[{}]{}", option.name, meaning, values));
}

std::string zsh_script(const Command& app, const std::vector<Command>& commands) {
  std::string names;
  std::string cases;
  for (const Command& command : commands) {
    names += "    " + in_quotes(command.name + ":" + command.meaning) + "\n";
    std::string arguments;
    for (const Argument& option : command.options) arguments += " " + zsh_option(option);
    for (const Argument& each : command.positionals) {
      arguments += " " + in_quotes(fmt::format(":{}:{}", each.name, zsh_action(each)));
    }
    cases += fmt::format("    {}) _arguments{} ;;\n", command.name, arguments);
  }
  return fmt::format(R"(_weir_processes() {{
  compadd $({})
}}
_weir() {{
  local -a commands=(
{}  )
  if ((CURRENT == 2)); then
    _describe command commands
    compadd -- {}
    return
  fi
  shift words
  ((CURRENT--))
  case $words[1] in
{}  esac
}}
compdef _weir weir
)",
                     kProcesses, names, names_of(app), cases);
}

// Fish: a line for each word.

std::string fish_values(const Argument& argument) {
  switch (argument.values) {
    case Values::none:
      return "";
    case Values::choices:
      return " -x -a " + in_quotes(argument.choices);
    case Values::files:
      return " -r -F";
    case Values::processes:
      return " -x -a " + in_quotes(fmt::format("({})", kProcesses));
    default:
      return " -x";
  }
}

std::string fish_line(const std::string& condition, const Argument& option) {
  return fmt::format("complete -c weir -n {} -l {} -d {}{}\n", in_quotes(condition), option.name,
                     in_quotes(option.meaning), fish_values(option));
}

std::string fish_script(const Command& app, const std::vector<Command>& commands) {
  std::string script = "complete -c weir -f\n";
  for (const Argument& option : app.options) script += fish_line("__fish_use_subcommand", option);
  for (const Command& command : commands) {
    const std::string condition = "__fish_seen_subcommand_from " + command.name;
    script += fmt::format("complete -c weir -n __fish_use_subcommand -a {} -d {}\n", command.name,
                          in_quotes(command.meaning));
    for (const Argument& option : command.options) script += fish_line(condition, option);
    for (const Argument& each : command.positionals) {
      script += fmt::format("complete -c weir -n {}{}\n", in_quotes(condition), fish_values(each));
    }
  }
  return script;
}

}  // namespace

void run_completion(const CLI::App& app, const std::string& shell) {
  const Command top = command_of(app);
  const std::vector<Command> commands = commands_of(app);
  const auto script = shell == "bash" ? bash_script : shell == "zsh" ? zsh_script : fish_script;
  fmt::print("{}", script(top, commands));
}

}  // namespace weir::tool
