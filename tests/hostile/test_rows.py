"""Which row of the design's list of hostile inputs is tested where, checked against the tests that there are."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

ROWS: dict[str, tuple[str, ...]] = {
    "H01 tags": (
        "hostile/test_recipes.py::test_a_hostile_recipe_is_refused",
        "unit/test_document.py::test_hostile_text_is_refused_with_a_place_and_a_hint",
    ),
    "H02 anchors and aliases": (
        "hostile/test_recipes.py::test_a_hostile_recipe_is_refused",
        "hostile/test_recipes.py::test_the_bomb_is_as_small_as_said",
        "unit/test_document.py::test_an_alias_bomb_costs_nothing",
    ),
    "H03 duplicate keys": ("hostile/test_recipes.py::test_a_hostile_recipe_is_refused",),
    "H04 depth, size, NUL, byte order marks, tabs, documents, empty": (
        "hostile/test_recipes.py::test_a_hostile_recipe_is_refused",
        "hostile/test_locks.py::test_a_bomb_of_a_lock_costs_little",
        "unit/test_document.py::test_nesting_is_allowed_up_to_the_limit",
    ),
    "H05 types and unknown keys": (
        "hostile/test_recipes.py::test_a_hostile_recipe_is_refused",
        "unit/test_document.py::test_scalars_stay_text",
        "unit/test_spelling.py::test_python_versions_get_one_spelling",
    ),
    "H06 templates": (
        "hostile/test_recipes.py::test_templates_stay_text",
        "unit/test_project.py::test_templates_are_text_and_values_of_variables_stay_as_they_are",
    ),
    "H07 expansions": ("hostile/test_recipes.py::test_templates_stay_text",),
    "H08 selectors": ("hostile/test_recipes.py::test_a_hostile_recipe_is_refused",),
    "H09 names and versions for shells": (
        "hostile/test_recipes.py::test_a_hostile_recipe_is_refused",
        "unit/test_spelling.py::test_hostile_names_are_refused",
        "unit/test_spelling.py::test_hostile_conda_versions_are_refused",
        "unit/test_spelling.py::test_what_is_no_specifier_is_refused",
    ),
    "H10 addresses": (
        "hostile/test_recipes.py::test_a_hostile_recipe_is_refused",
        "unit/test_git_sources.py::test_H10_addresses_of_submodules_pass_the_same_check",
        "unit/test_git_sources.py::test_H10_no_configuration_of_a_repository_runs_anything",
        "unit/test_git_sources.py::test_a_moved_repository_is_followed_but_not_to_a_link_local_address",
        "unit/test_spelling.py::test_addresses_that_a_recipe_may_not_name",
    ),
    "H11 variables": (
        "hostile/test_recipes.py::test_a_hostile_recipe_is_refused",
        "unit/test_spelling.py::test_variables_that_decide_what_runs_are_refused",
        "unit/test_activation.py::test_values_arrive_byte_for_byte_and_everything_comes_back",
        "flows/test_main_line.py::test_variables_reach_the_program",
    ),
    "H12 paths": (
        "hostile/test_recipes.py::test_a_hostile_recipe_is_refused",
        "unit/test_spelling.py::test_paths_do_not_leave_the_project",
        "unit/test_spelling.py::test_links_do_not_leave_the_project_either",
    ),
    "H13 one name on two indices": ("hostile/test_places.py::test_a_package_that_moves_to_another_index_is_refused",),
    "H14 circles and long chains": (
        "hostile/test_recipes.py::test_a_circle_of_ten_thousand_bases",
        "hostile/test_recipes.py::test_a_small_circle_is_named",
        "hostile/test_recipes.py::test_many_bases_of_one_recipe",
        "unit/test_project.py::test_a_long_line_of_bases_ends_in_an_error_not_in_a_stack",
    ),
    "H15 names": (
        "hostile/test_recipes.py::test_a_hostile_recipe_is_refused",
        "unit/test_spelling.py::test_hostile_names_are_refused",
    ),
    "H16 hashes": (
        "hostile/test_locks.py::test_a_hostile_package_is_refused",
        "unit/test_lockfile.py::test_a_hostile_or_edited_package_is_refused",
    ),
    "H17 identity": (
        "hostile/test_locks.py::test_a_hostile_package_is_refused",
        "unit/test_lockfile.py::test_identity_error_is_an_integrity_error",
    ),
    "H18 secrets": (
        "hostile/test_locks.py::test_a_hostile_package_is_refused",
        "unit/test_lockfile.py::test_credentials_cannot_be_written",
    ),
    "H19 conflicts, versions, edits": (
        "hostile/test_locks.py::test_a_hostile_lock_is_refused",
        "review/test_lock_merge.py::test_whatever_the_driver_is_given_it_ends_and_loses_nothing",
        "unit/test_lockfile.py::test_a_lock_that_is_not_what_was_written_is_refused",
    ),
    "H20 paths of members": (
        "hostile/test_sources.py::test_H20_paths_that_leave_or_mean_two_things",
        "hostile/test_sources.py::test_H20_paths_hidden_in_other_headers",
        "hostile/test_sources.py::test_H20_names_that_are_too_long",
        "hostile/test_sources.py::test_H20_H26_members_of_zips",
        "unit/test_git_sources.py::test_H20_H29_names_that_no_source_may_have",
        "hostile/test_packages.py::test_H20_paths_that_leave_or_mean_two_things",
        "hostile/test_packages.py::test_H20_names_that_are_too_long",
    ),
    "H21 links": (
        "hostile/test_sources.py::test_H21_links_that_leave",
        "hostile/test_sources.py::test_H21_nothing_is_written_through_a_link",
        "unit/test_git_sources.py::test_H21_links_that_leave_the_repository",
        "unit/test_trees.py::test_H21_links_that_leave_the_folder",
        "unit/test_trees.py::test_what_is_said_of_links_is_what_the_kernel_does",
        "hostile/test_packages.py::test_H21_links_that_leave_and_members_below_links",
    ),
    "H22 chains of links": (
        "hostile/test_sources.py::test_H22_chains_longer_than_a_kernel_follows",
        "hostile/test_packages.py::test_H22_chains_longer_than_a_kernel_follows",
    ),
    "H23 hard links": (
        "hostile/test_sources.py::test_H23_hard_links",
        "hostile/test_packages.py::test_H23_hard_links",
    ),
    "H24 devices, pipes, sparse files": (
        "hostile/test_sources.py::test_H24_what_is_neither_file_folder_nor_link",
        "hostile/test_sources.py::test_H24_sparse_files_in_pax",
        "hostile/test_packages.py::test_H24_what_is_neither_file_folder_nor_link",
        "hostile/test_packages.py::test_H24_sparse_files_in_pax",
    ),
    "H25 modes": (
        "hostile/test_sources.py::test_H25_bits_that_would_be_dangerous_are_cleared",
        "unit/test_unpack.py::test_modes_and_times_are_the_same_on_every_machine",
        "hostile/test_packages.py::test_H25_special_bits_are_left_behind",
        "hostile/test_sources.py::test_H25_one_of_these_bits_is_told_in_zips_too",
        "hostile/test_sources.py::test_H25_modes_that_archives_have_are_nothing_to_tell",
        "hostile/test_conda_packages.py::test_h25_special_bits_are_cleared_and_told_once",
    ),
    "H26 one path twice": (
        "hostile/test_sources.py::test_H26_one_path_twice",
        "unit/test_unpack.py::test_case_twins_are_two_files_here",
        "hostile/test_sources.py::test_H26_twins_are_refused_where_they_are_one_file",
        "hostile/test_sources.py::test_H26_twins_are_told_where_they_are_two_files",
        "hostile/test_sources.py::test_H26_the_file_system_is_asked_by_a_file_of_ours_that_goes",
        "hostile/test_packages.py::test_H26_one_path_twice",
    ),
    "H27 bombs": (
        "hostile/test_sources.py::test_H27_bombs_stop_at_the_limit",
        "hostile/test_sources.py::test_H27_a_zip_bomb",
        "hostile/test_sources.py::test_H27_a_window_larger_than_allowed",
        "hostile/test_sources.py::test_H27_a_size_beyond_the_limit_is_refused_before_it_comes",
        "hostile/test_packages.py::test_H27_a_bomb_of_bz2_stops_at_the_limit",
        "hostile/test_packages.py::test_H27_a_bomb_of_zstd_stops_at_the_limit",
        "hostile/test_packages.py::test_H27_what_is_no_content_counts_too",
        "hostile/test_packages.py::test_H27_a_file_larger_than_files_may_be",
        "hostile/test_packages.py::test_H27_a_window_larger_than_allowed",
    ),
    "H28 too many members": (
        "hostile/test_sources.py::test_H28_too_many_members",
        "hostile/test_packages.py::test_H28_too_many_members",
    ),
    "H29 broken archives": (
        "hostile/test_sources.py::test_H29_broken_tars",
        "hostile/test_sources.py::test_H29_broken_compression",
        "hostile/test_sources.py::test_H29_H44_zips_that_can_be_read_in_two_ways",
        "unit/test_trees.py::test_H29_names_that_are_not_utf8",
        "faults/test_parsers.py::test_damaged_inputs_are_read_or_refused",
        "hostile/test_packages.py::test_H29_broken_tars",
        "hostile/test_packages.py::test_H29_broken_compression",
    ),
    "H30 structure of conda packages": (
        "hostile/test_conda_packages.py::test_h30_a_package_that_is_no_package",
        "hostile/test_conda_packages.py::test_h30_names_inside_that_are_another_package_s",
        "hostile/test_conda_packages.py::test_h30_a_zip_that_can_be_read_in_two_ways",
        "hostile/test_packages.py::test_H30_a_part_that_is_missing_or_broken",
        "hostile/test_packages.py::test_H30_parts_of_another_package_two_of_a_kind_or_unknown",
        "hostile/test_packages.py::test_H30_a_zip_that_is_more_or_other_than_a_zip",
        "hostile/test_packages.py::test_H30_no_index_is_no_package",
    ),
    "H31 words of conda packages": (
        "hostile/test_conda_packages.py::test_h31_an_index_that_lies",
        "hostile/test_conda_packages.py::test_h31_a_list_of_files_that_lies",
        "hostile/test_clobber.py::test_h31_two_conda_packages_with_the_same_bytes_are_nobodys_trouble",
        "hostile/test_clobber.py::test_h31_two_conda_packages_with_different_bytes_are_refused",
        "hostile/test_clobber.py::test_h31_a_link_and_a_file_are_not_the_same",
        "hostile/test_clobber.py::test_h31_who_wins_does_not_depend_on_the_order_or_the_moment",
        "hostile/test_clobber.py::test_h31_the_command_names_both_and_the_setting_lets_it_pass",
        "hostile/test_conda_packages.py::test_the_command_refuses_and_leaves_nothing",
        "unit/test_linkers_prefix.py::test_scripts_of_packages_are_told_not_run",
        "hostile/test_conda_packages.py::test_h31_a_script_that_must_run_first_is_refused",
        "hostile/test_conda_packages.py::test_h31_other_scripts_are_told_and_never_run",
        "hostile/test_packages.py::test_H31_a_hostile_package_ends_the_command_and_stays_out_of_the_store",
    ),
    "H32 zips that can be read in two ways": (
        "hostile/test_zips.py::test_h32_a_zip_that_can_be_read_in_two_ways",
        "hostile/test_zips.py::test_h32_there_are_at_least_25_of_them",
    ),
    "H33 what only some readers know": ("hostile/test_zips.py::test_h33_what_only_some_readers_know",),
    "H34 overlapping members and sizes that lie": (
        "hostile/test_zips.py::test_h34_members_that_are_larger_than_they_can_be",
    ),
    "H35 wheels that are something else too": ("hostile/test_zips.py::test_h35_a_wheel_that_is_something_else_too",),
    "H36 the same files to every reader": (
        "hostile/test_zips.py::test_h36_what_passes_is_the_same_to_zipfile_and_uv",
        "faults/test_parsers.py::test_damaged_inputs_are_read_or_refused",
    ),
    "H37 RECORD": (
        "hostile/test_wheels.py::test_h37_records_that_lie",
        "hostile/test_wheels.py::test_h37_a_record_that_is_missing_or_not_text",
        "hostile/test_wheels.py::test_h37_a_large_file_is_looked_at_where_it_was_unpacked",
        "hostile/test_wheels.py::test_h37_large_files_in_all_places_pass",
        "hostile/test_wheels.py::test_h37_what_was_unpacked_and_then_damaged_is_found",
        "hostile/test_wheels.py::test_the_command_refuses_and_leaves_nothing",
    ),
    "H38 identity of wheels": (
        "hostile/test_wheels.py::test_h38_another_package_than_its_name_says",
        "hostile/test_wheels.py::test_h38_a_folder_of_another_version",
    ),
    "H39 entry points": (
        "hostile/test_wheels.py::test_h39_entry_points_that_are_no_names",
        "hostile/test_wheels.py::test_h39_what_people_write_passes",
    ),
    "H40 places of a wheel's files": (
        "hostile/test_wheels.py::test_h40_places_that_are_not_a_wheel_s",
        "hostile/test_zips.py::test_h40_paths_that_leave",
    ),
    "H41 what runs at each start": (
        "hostile/test_wheels.py::test_h41_what_runs_at_each_start_is_told",
        "hostile/test_wheels.py::test_h41_the_command_tells_what_runs_at_start",
        "hostile/test_clobber.py::test_h41_two_wheels_with_different_bytes",
        "hostile/test_clobber.py::test_h41_large_files_of_two_wheels_are_each_held_against_their_own_record",
        "hostile/test_clobber.py::test_h41_programs_of_two_wheels",
        "hostile/test_clobber.py::test_h41_what_lost_stays_whole_for_other_prefixes",
        "hostile/test_clobber.py::test_h41_a_wheel_in_the_place_of_conda_s_file",
        "hostile/test_clobber.py::test_h41_files_in_another_s_package",
        "hostile/test_clobber.py::test_h41_files_in_a_package_of_conda_s",
    ),
    "H42 modules named as ours": (
        "hostile/test_wheels.py::test_h42_modules_of_an_environment_are_never_imported_by_us",
    ),
    "H43 tags": (
        "hostile/test_wheels.py::test_h43_tags_that_do_not_fit",
        "unit/test_python_tags.py::test_as_packaging_says",
    ),
    "H44 two archives in one, more than one top folder": (
        "hostile/test_sources.py::test_H44_more_than_one_top_folder_or_none",
        "hostile/test_sources.py::test_H44_an_archive_that_is_two_archives",
    ),
    "H45 network, variables and home of a build": (
        "hostile/test_builds.py::test_h45_a_build_reaches_no_network",
        "hostile/test_builds.py::test_h45_what_was_shut_cannot_be_opened_again",
        "unit/test_build_wheel.py::test_what_a_build_sees",
    ),
    "H46 what a backend leaves": (
        "hostile/test_builds.py::test_h46_what_is_built_is_one_wheel_of_that_name",
        "hostile/test_builds.py::test_h46_its_own_environment_and_the_caches_behind_it_stay",
        "hostile/test_builds.py::test_h46_the_answer_of_a_hook_may_be_anything",
    ),
    "H47 builds without end": (
        "hostile/test_builds.py::test_h47_a_build_that_never_ends_is_ended_with_all_that_it_started",
        "hostile/test_builds.py::test_h47_a_log_without_end_is_cut_off",
        "hostile/test_builds.py::test_h47_a_file_without_end_is_cut_off",
    ),
    "H48 backends and build requirements from elsewhere": (
        "hostile/test_builds.py::test_h48_a_backend_lies_in_its_source",
        "hostile/test_builds.py::test_h48_build_requirements_have_no_addresses",
    ),
    "H49 channels that contradict": (
        "hostile/test_repodata.py::test_h49_a_higher_version_in_a_channel_that_comes_later",
        "hostile/test_repodata.py::test_h49_one_file_name_with_two_hashes",
        "hostile/test_repodata.py::test_h49_a_record_that_is_not_its_file",
    ),
    "H50 records that are paths": (
        "hostile/test_repodata.py::test_h50_words_of_a_record_that_are_paths",
        "hostile/test_repodata.py::test_h50_file_names_that_are_paths",
    ),
    "H51 repodata that is broken or without end": (
        "hostile/test_repodata.py::test_h51_an_index_that_is_none",
        "hostile/test_repodata.py::test_h51_compression_that_is_cut",
        "hostile/test_repodata.py::test_h51_two_hundred_thousand_records_are_read_in_time",
        "hostile/test_repodata.py::test_h51_the_copy_of_an_index_that_cannot_be_read_any_more",
        "hostile/test_repodata.py::test_h51_only_the_broken_channel_s_copy_is_used",
        "hostile/test_repodata.py::test_h51_solves_for_several_platforms_use_one_copy_and_say_it_once",
        "hostile/test_repodata.py::test_h51_what_the_copy_does_not_have_is_told_as_the_broken_index",
        "hostile/test_repodata.py::test_h51_a_copy_older_than_the_cut_off_does_not_count",
        "hostile/test_repodata.py::test_h51_a_channel_that_does_not_answer_is_no_broken_one",
    ),
    "H52 repodata that goes back in time": (
        "hostile/test_repodata.py::test_h52_an_index_that_goes_back_in_time",
        "hostile/test_repodata.py::test_h52_a_solve_of_an_index_that_went_back_in_time_warns",
        "hostile/test_repodata.py::test_h52_records_that_vanished_are_counted",
        "hostile/test_repodata.py::test_h52_an_index_that_lost_what_is_asked_for",
        "hostile/test_repodata.py::test_h52_a_few_records_less_and_an_hour_are_no_news",
    ),
    "H53 links of index pages": (
        "hostile/test_index_pages.py::test_h53_links_that_are_none",
        "hostile/test_index_pages.py::test_h53_a_file_of_this_machine",
        "hostile/test_index_pages.py::test_h53_a_base_that_leads_to_files",
        "hostile/test_index_pages.py::test_h53_an_address_that_knows_a_machine_s_secrets",
        "hostile/test_index_pages.py::test_h53_another_host_is_where_many_indices_keep_files",
    ),
    "H54 hashes and metadata of index pages": (
        "hostile/test_index_pages.py::test_h54_without_a_strong_hash_the_bytes_are_fetched_to_compute_one",
        "hostile/test_index_pages.py::test_h54_a_hash_that_lies",
        "hostile/test_index_pages.py::test_h54_metadata_that_tells_of_another_package",
        "hostile/test_index_pages.py::test_h54_a_copy_of_metadata_with_other_requirements",
        "hostile/test_index_pages.py::test_h54_a_copy_that_lies_about_a_wheel_that_is_linked_already",
        "hostile/test_index_pages.py::test_h54_a_lock_of_another_machine_that_believed_a_lie",
        "hostile/test_index_pages.py::test_h54_overrides_extras_and_markers_are_no_lies",
        "hostile/test_index_pages.py::test_h54_what_conda_provides_is_no_lie",
        "unit/test_linkers_wheel_requirements.py::test_what_a_lock_alone_does_not_convict",
        "hostile/test_index_pages.py::test_h54_a_version_that_was_yanked_is_taken_by_nobody",
        "hostile/test_index_pages.py::test_h54_a_python_requirement_that_costs",
    ),
    "H55 servers that lead away": (
        "hostile/test_index_pages.py::test_h55_credentials_do_not_follow_to_another_host",
        "unit/test_download.py::test_credentials_stay_with_their_host",
        "unit/test_download.py::test_redirects_to_unsafe_places_are_refused",
    ),
    "H56 records that are none": (
        "faults/test_hostile_stores.py::test_h56_a_hostile_record_costs_its_work_and_makes_way",
        "faults/test_hostile_stores.py::test_h56_a_record_that_names_another_file_is_found_out",
        "faults/test_hostile_stores.py::test_h56_with_no_origin_a_hostile_record_is_an_error_and_nothing_is_linked",
        "faults/test_hostile_stores.py::test_h56_a_hostile_closure_is_not_believed",
        "unit/test_shared_store.py::test_what_is_no_record_does_not_count_and_makes_way_for_one",
        "unit/test_shared_store.py::test_a_record_whose_blobs_are_gone_makes_way",
        "unit/test_shared_store.py::test_a_record_that_is_too_large_is_no_reason_to_leave_a_store",
        "flows/test_shared_stores.py::test_what_a_store_lost_is_done_and_sent_again",
    ),
    "H57 signatures that are none": (
        "unit/test_trust.py::test_H57_a_signature_that_is_none_counts_for_nothing",
        "unit/test_trust.py::test_H57_a_signature_of_another_type_is_none",
        "unit/test_trust.py::test_H57_the_label_of_a_key_decides_nothing",
        "unit/test_trust.py::test_H57_copies_and_labels_of_one_signature_reach_no_threshold",
        "unit/test_trust.py::test_H57_no_hostile_envelope_brings_a_record",
        "unit/test_trust.py::test_H57_a_bad_store_before_a_good_one_costs_a_note_and_nothing_else",
        "unit/test_trust.py::test_H57_no_hostile_envelope_moves_a_name",
        "unit/test_trust.py::test_H57_an_old_generation_under_a_new_number_is_nothing",
        "flows/test_signed.py::test_H57_an_attacker_who_writes_the_bucket_brings_nothing",
        "flows/test_signed.py::test_a_name_that_ci_signed_and_one_that_somebody_moved",
    ),
    "H58 objects under the name of others": (
        "unit/test_environment_outputs.py::test_H58_what_is_no_document_is_refused_though_its_digest_is_right",
        "unit/test_environment_outputs.py::test_other_bytes_and_another_environment_are_refused",
        "flows/test_closure_digests.py::test_what_is_no_such_digest_is_refused_and_nothing_is_done",
        "unit/test_shared_store.py::test_wrong_bytes_are_never_given_said_once_and_mended_by_right_ones",
        "unit/test_shared_store.py::test_a_copy_leaves_behind_what_is_not_what_its_name_says",
        "flows/test_shared_stores.py::test_flipped_bits_are_never_linked_and_mended",
        "flows/test_shared_stores.py::test_a_flipped_bit_without_an_origin_is_an_error_and_nothing_is_linked",
    ),
    "H59 keys that are no names": (
        "objects/test_conformance.py::test_H59_keys_that_are_no_names_are_neither_listed_nor_in_the_way",
        "objects/test_collecting.py::test_H59_only_what_has_a_name_of_ours_is_deleted",
        "objects/test_folder.py::test_what_has_no_name_of_an_object_is_neither_listed_nor_touched",
    ),
    "H60 links inside a store": (
        "faults/test_hostile_stores.py::test_h60_symbolic_links_inside_a_store_lead_nowhere",
        "objects/test_folder.py::test_symbolic_links_lead_nowhere",
        "flows/test_gc_store.py::test_links_in_a_store_are_left_alone_and_their_targets_too",
        "flows/test_verify_store.py::test_H60_links_and_strangers_are_told_and_no_link_is_followed",
    ),
    "H61 records that name code": (
        "faults/test_hostile_stores.py::test_h61_what_a_store_holds_is_never_loaded",
        "unit/test_shared_store.py::test_what_is_no_record_does_not_count_and_makes_way_for_one",
    ),
    "H62 names of environments": (
        "unit/test_names.py::test_H62_hostile_names_are_refused",
        "unit/test_names.py::test_a_text_is_refused_or_is_one_object_of_the_store_and_reads_back",
        "flows/test_named.py::test_H62_hostile_names_are_refused_before_anything_is_written",
    ),
    "H63 names of what is not there": (
        "flows/test_named.py::test_H63_a_name_of_nothing_shows_the_chain",
        "flows/test_named.py::test_H63_a_name_that_was_tampered_with_is_refused",
        "flows/test_named.py::test_a_platform_that_a_name_has_not",
        "unit/test_store_names.py::test_H63_a_generation_that_is_none_is_refused",
        "unit/test_store_names.py::test_H63_bytes_that_are_no_generation_are_refused",
    ),
    "H64 folders and files of others": (
        "hostile/test_settings.py::test_what_everybody_may_write_is_not_believed",
        "unit/test_config.py::test_a_file_of_somebody_else_is_not_believed",
        "objects/test_addresses.py::test_a_folder_that_everybody_may_write_is_refused",
        "objects/test_addresses.py::test_a_folder_of_somebody_else_must_be_shared",
    ),
    "H65 wrong settings": (
        "hostile/test_settings.py::test_a_hostile_project_file_is_refused",
        "unit/test_config.py::test_wrong_files_are_refused",
        "objects/test_addresses.py::test_what_is_no_address_is_refused_in_one_line_without_its_secrets",
    ),
    "H66 a project that loosens": (
        "hostile/test_settings.py::test_a_hostile_project_file_is_refused",
        "hostile/test_settings.py::test_a_project_may_not_loosen_what_its_reader_trusts",
        "unit/test_config.py::test_a_project_may_not_say_what_protects_its_reader",
        "unit/test_config.py::test_H66_a_project_that_loosens_trust_is_an_error_at_its_line",
        "unit/test_config.py::test_H66_more_signatures_are_what_a_project_may_want_and_its_patterns_loosen_nothing",
        "unit/test_trust.py::test_whatever_a_project_says_no_subject_wants_fewer_signatures",
    ),
    "H67 variables of envbuild": (
        "hostile/test_settings.py::test_a_wrong_variable_is_a_usage_error",
        "hostile/test_settings.py::test_a_slip_in_a_variable_is_a_warning",
        "unit/test_config.py::test_wrong_variables_are_usage_errors",
    ),
    "H68 variables of others": (
        "hostile/test_settings.py::test_variables_of_other_tools_change_nothing",
        "hostile/test_settings.py::test_a_temporary_folder_that_cannot_be_used",
    ),
    "H69 secrets": (
        "faults/test_secrets.py::test_h69_credentials_of_a_cloud_are_nowhere",
        "faults/test_secrets.py::test_h69_credentials_of_a_web_server_are_nowhere",
        "faults/test_secrets.py::test_h69_a_signature_in_an_address_of_a_recipe_is_refused_or_kept_out",
        "faults/test_surroundings.py::test_a_secret_works_and_is_nowhere",
    ),
    "H70 servers that repeat secrets": (
        "faults/test_secrets.py::test_h69_credentials_of_a_cloud_are_nowhere",
        "objects/test_rights.py::test_no_secret_gets_into_an_error_whatever_the_server_repeats",
    ),
    "H71 files of secrets": (
        "faults/test_secrets.py::test_h71_files_of_credentials_that_others_may_read_are_told_and_links_are_refused",
        "unit/test_credentials.py::test_netrc_and_who_may_read_it",
        "unit/test_credentials.py::test_a_token_file_that_is_a_symbolic_link_is_refused",
    ),
}


def test_every_row_of_this_part_has_a_test() -> None:
    wanted = {f"H{number:02}" for number in range(1, 72)}
    assert {row.split()[0] for row in ROWS} == wanted


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_named_for_a_row_exist(row: str) -> None:
    for test in ROWS[row]:
        file, _, name = test.partition("::")
        tree = ast.parse((TESTS / file).read_text())
        assert name in {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}, test
