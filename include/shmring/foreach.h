/* SPDX-License-Identifier: MIT */
/*
 * SHR_EACH_(f, t, a, b, ...) expands to f(t, a) f(t, b) ... for 1 to 64 names.
 * More than 64 give an error about SHR_EACH_ and a number. Used by schema.h.
 */
#ifndef SHMRING_FOREACH_H
#define SHMRING_FOREACH_H

/* clang-format off */
#define SHR_EACH_1_(f, t, m) f(t, m)
#define SHR_EACH_2_(f, t, m, ...) f(t, m) SHR_EACH_1_(f, t, __VA_ARGS__)
#define SHR_EACH_3_(f, t, m, ...) f(t, m) SHR_EACH_2_(f, t, __VA_ARGS__)
#define SHR_EACH_4_(f, t, m, ...) f(t, m) SHR_EACH_3_(f, t, __VA_ARGS__)
#define SHR_EACH_5_(f, t, m, ...) f(t, m) SHR_EACH_4_(f, t, __VA_ARGS__)
#define SHR_EACH_6_(f, t, m, ...) f(t, m) SHR_EACH_5_(f, t, __VA_ARGS__)
#define SHR_EACH_7_(f, t, m, ...) f(t, m) SHR_EACH_6_(f, t, __VA_ARGS__)
#define SHR_EACH_8_(f, t, m, ...) f(t, m) SHR_EACH_7_(f, t, __VA_ARGS__)
#define SHR_EACH_9_(f, t, m, ...) f(t, m) SHR_EACH_8_(f, t, __VA_ARGS__)
#define SHR_EACH_10_(f, t, m, ...) f(t, m) SHR_EACH_9_(f, t, __VA_ARGS__)
#define SHR_EACH_11_(f, t, m, ...) f(t, m) SHR_EACH_10_(f, t, __VA_ARGS__)
#define SHR_EACH_12_(f, t, m, ...) f(t, m) SHR_EACH_11_(f, t, __VA_ARGS__)
#define SHR_EACH_13_(f, t, m, ...) f(t, m) SHR_EACH_12_(f, t, __VA_ARGS__)
#define SHR_EACH_14_(f, t, m, ...) f(t, m) SHR_EACH_13_(f, t, __VA_ARGS__)
#define SHR_EACH_15_(f, t, m, ...) f(t, m) SHR_EACH_14_(f, t, __VA_ARGS__)
#define SHR_EACH_16_(f, t, m, ...) f(t, m) SHR_EACH_15_(f, t, __VA_ARGS__)
#define SHR_EACH_17_(f, t, m, ...) f(t, m) SHR_EACH_16_(f, t, __VA_ARGS__)
#define SHR_EACH_18_(f, t, m, ...) f(t, m) SHR_EACH_17_(f, t, __VA_ARGS__)
#define SHR_EACH_19_(f, t, m, ...) f(t, m) SHR_EACH_18_(f, t, __VA_ARGS__)
#define SHR_EACH_20_(f, t, m, ...) f(t, m) SHR_EACH_19_(f, t, __VA_ARGS__)
#define SHR_EACH_21_(f, t, m, ...) f(t, m) SHR_EACH_20_(f, t, __VA_ARGS__)
#define SHR_EACH_22_(f, t, m, ...) f(t, m) SHR_EACH_21_(f, t, __VA_ARGS__)
#define SHR_EACH_23_(f, t, m, ...) f(t, m) SHR_EACH_22_(f, t, __VA_ARGS__)
#define SHR_EACH_24_(f, t, m, ...) f(t, m) SHR_EACH_23_(f, t, __VA_ARGS__)
#define SHR_EACH_25_(f, t, m, ...) f(t, m) SHR_EACH_24_(f, t, __VA_ARGS__)
#define SHR_EACH_26_(f, t, m, ...) f(t, m) SHR_EACH_25_(f, t, __VA_ARGS__)
#define SHR_EACH_27_(f, t, m, ...) f(t, m) SHR_EACH_26_(f, t, __VA_ARGS__)
#define SHR_EACH_28_(f, t, m, ...) f(t, m) SHR_EACH_27_(f, t, __VA_ARGS__)
#define SHR_EACH_29_(f, t, m, ...) f(t, m) SHR_EACH_28_(f, t, __VA_ARGS__)
#define SHR_EACH_30_(f, t, m, ...) f(t, m) SHR_EACH_29_(f, t, __VA_ARGS__)
#define SHR_EACH_31_(f, t, m, ...) f(t, m) SHR_EACH_30_(f, t, __VA_ARGS__)
#define SHR_EACH_32_(f, t, m, ...) f(t, m) SHR_EACH_31_(f, t, __VA_ARGS__)
#define SHR_EACH_33_(f, t, m, ...) f(t, m) SHR_EACH_32_(f, t, __VA_ARGS__)
#define SHR_EACH_34_(f, t, m, ...) f(t, m) SHR_EACH_33_(f, t, __VA_ARGS__)
#define SHR_EACH_35_(f, t, m, ...) f(t, m) SHR_EACH_34_(f, t, __VA_ARGS__)
#define SHR_EACH_36_(f, t, m, ...) f(t, m) SHR_EACH_35_(f, t, __VA_ARGS__)
#define SHR_EACH_37_(f, t, m, ...) f(t, m) SHR_EACH_36_(f, t, __VA_ARGS__)
#define SHR_EACH_38_(f, t, m, ...) f(t, m) SHR_EACH_37_(f, t, __VA_ARGS__)
#define SHR_EACH_39_(f, t, m, ...) f(t, m) SHR_EACH_38_(f, t, __VA_ARGS__)
#define SHR_EACH_40_(f, t, m, ...) f(t, m) SHR_EACH_39_(f, t, __VA_ARGS__)
#define SHR_EACH_41_(f, t, m, ...) f(t, m) SHR_EACH_40_(f, t, __VA_ARGS__)
#define SHR_EACH_42_(f, t, m, ...) f(t, m) SHR_EACH_41_(f, t, __VA_ARGS__)
#define SHR_EACH_43_(f, t, m, ...) f(t, m) SHR_EACH_42_(f, t, __VA_ARGS__)
#define SHR_EACH_44_(f, t, m, ...) f(t, m) SHR_EACH_43_(f, t, __VA_ARGS__)
#define SHR_EACH_45_(f, t, m, ...) f(t, m) SHR_EACH_44_(f, t, __VA_ARGS__)
#define SHR_EACH_46_(f, t, m, ...) f(t, m) SHR_EACH_45_(f, t, __VA_ARGS__)
#define SHR_EACH_47_(f, t, m, ...) f(t, m) SHR_EACH_46_(f, t, __VA_ARGS__)
#define SHR_EACH_48_(f, t, m, ...) f(t, m) SHR_EACH_47_(f, t, __VA_ARGS__)
#define SHR_EACH_49_(f, t, m, ...) f(t, m) SHR_EACH_48_(f, t, __VA_ARGS__)
#define SHR_EACH_50_(f, t, m, ...) f(t, m) SHR_EACH_49_(f, t, __VA_ARGS__)
#define SHR_EACH_51_(f, t, m, ...) f(t, m) SHR_EACH_50_(f, t, __VA_ARGS__)
#define SHR_EACH_52_(f, t, m, ...) f(t, m) SHR_EACH_51_(f, t, __VA_ARGS__)
#define SHR_EACH_53_(f, t, m, ...) f(t, m) SHR_EACH_52_(f, t, __VA_ARGS__)
#define SHR_EACH_54_(f, t, m, ...) f(t, m) SHR_EACH_53_(f, t, __VA_ARGS__)
#define SHR_EACH_55_(f, t, m, ...) f(t, m) SHR_EACH_54_(f, t, __VA_ARGS__)
#define SHR_EACH_56_(f, t, m, ...) f(t, m) SHR_EACH_55_(f, t, __VA_ARGS__)
#define SHR_EACH_57_(f, t, m, ...) f(t, m) SHR_EACH_56_(f, t, __VA_ARGS__)
#define SHR_EACH_58_(f, t, m, ...) f(t, m) SHR_EACH_57_(f, t, __VA_ARGS__)
#define SHR_EACH_59_(f, t, m, ...) f(t, m) SHR_EACH_58_(f, t, __VA_ARGS__)
#define SHR_EACH_60_(f, t, m, ...) f(t, m) SHR_EACH_59_(f, t, __VA_ARGS__)
#define SHR_EACH_61_(f, t, m, ...) f(t, m) SHR_EACH_60_(f, t, __VA_ARGS__)
#define SHR_EACH_62_(f, t, m, ...) f(t, m) SHR_EACH_61_(f, t, __VA_ARGS__)
#define SHR_EACH_63_(f, t, m, ...) f(t, m) SHR_EACH_62_(f, t, __VA_ARGS__)
#define SHR_EACH_64_(f, t, m, ...) f(t, m) SHR_EACH_63_(f, t, __VA_ARGS__)
#define SHR_PICK_(n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, n12, n13, n14, n15, \
	n16, n17, n18, n19, n20, n21, n22, n23, n24, n25, n26, n27, n28, n29, n30, n31, \
	n32, n33, n34, n35, n36, n37, n38, n39, n40, n41, n42, n43, n44, n45, n46, n47, \
	n48, n49, n50, n51, n52, n53, n54, n55, n56, n57, n58, n59, n60, n61, n62, n63, \
	n64, pick, ...) pick
#define SHR_EACH_(f, t, ...) SHR_PICK_(__VA_ARGS__, SHR_EACH_64_, SHR_EACH_63_, \
	SHR_EACH_62_, SHR_EACH_61_, SHR_EACH_60_, SHR_EACH_59_, SHR_EACH_58_, \
	SHR_EACH_57_, SHR_EACH_56_, SHR_EACH_55_, SHR_EACH_54_, SHR_EACH_53_, \
	SHR_EACH_52_, SHR_EACH_51_, SHR_EACH_50_, SHR_EACH_49_, SHR_EACH_48_, \
	SHR_EACH_47_, SHR_EACH_46_, SHR_EACH_45_, SHR_EACH_44_, SHR_EACH_43_, \
	SHR_EACH_42_, SHR_EACH_41_, SHR_EACH_40_, SHR_EACH_39_, SHR_EACH_38_, \
	SHR_EACH_37_, SHR_EACH_36_, SHR_EACH_35_, SHR_EACH_34_, SHR_EACH_33_, \
	SHR_EACH_32_, SHR_EACH_31_, SHR_EACH_30_, SHR_EACH_29_, SHR_EACH_28_, \
	SHR_EACH_27_, SHR_EACH_26_, SHR_EACH_25_, SHR_EACH_24_, SHR_EACH_23_, \
	SHR_EACH_22_, SHR_EACH_21_, SHR_EACH_20_, SHR_EACH_19_, SHR_EACH_18_, \
	SHR_EACH_17_, SHR_EACH_16_, SHR_EACH_15_, SHR_EACH_14_, SHR_EACH_13_, \
	SHR_EACH_12_, SHR_EACH_11_, SHR_EACH_10_, SHR_EACH_9_, SHR_EACH_8_, SHR_EACH_7_, \
	SHR_EACH_6_, SHR_EACH_5_, SHR_EACH_4_, SHR_EACH_3_, SHR_EACH_2_, SHR_EACH_1_, 0)(f, t, __VA_ARGS__)
/* clang-format on */

#endif
